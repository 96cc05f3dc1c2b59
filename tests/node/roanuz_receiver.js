// A receiver of Roanuz's push in the order of the vendor's own Node sample: a JSON body parser is installed first and a
// raw reader of what it left comes after it, so that a body sent as JSON never arrives (roanuz sheet 3). Answers as the
// sample does, 200 also when it could not decode.
//
//   node roanuz_receiver.js PORT
//
// Prints {"listening":port}, and {"decoded":…} or {"failed":"…"} for every request.
"use strict";
const express = require("express");
const zlib = require("zlib");

function say(what) {
  process.stdout.write(JSON.stringify(what) + "\n");
}

const app = express();
app.use(express.json());
app.use((request, response, next) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    request.raw = Buffer.concat(parts);
    next();
  });
});
app.post("/match/feed/v1/", (request, response) => {
  zlib.unzip(request.raw, (problem, content) => {
    if (problem) {
      say({ failed: String(problem) });
      response.json({ status: false });
      return;
    }
    say({ decoded: JSON.parse(content.toString("utf8")), type: request.headers["content-type"] || null });
    response.json({ status: true });
  });
});
const server = app.listen(Number(process.argv[2]), "127.0.0.1", () => say({ listening: server.address().port }));
