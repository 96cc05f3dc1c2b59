// A Live Data V2 consumer on the `ws` package: receives a game, drops its line after some messages, and resumes by
// last_seq until the server closes with 1000.
//
//   node ws_client.js URL_WITH_TOKEN DROP_AFTER…
//
// Each DROP_AFTER is a number of sequenced messages after which a connection is dropped; the connection after the last
// of them reads to the end. Writes one JSON document a line: what happened as it happens, and a summary at the end.
"use strict";
const WebSocket = require("ws");

const url = process.argv[2];
const drops = process.argv.slice(3).map(Number);
const summary = { seqs: [], unsequenced: 0, repeats: 0, pongs: 0, connections: 0, closes: [] };
let lastSeq = 0;

function say(what) {
  process.stdout.write(JSON.stringify(what) + "\n");
}

function connect() {
  const socket = new WebSocket(url + (lastSeq ? "&last_seq=" + lastSeq : ""));
  const limit = drops.length ? drops.shift() : Infinity;
  let taken = 0;
  let dropped = false;
  summary.connections += 1;
  socket.on("open", () => {
    say({ connected: summary.connections, last_seq: lastSeq });
    socket.send(JSON.stringify({ action: "ping" }));
  });
  socket.on("message", (content, isBinary) => {
    if (dropped) return;
    if (isBinary) throw new Error("a binary message");
    const message = JSON.parse(content.toString());
    if (message.action === "pong") {
      summary.pongs += 1;
      return;
    }
    if (message.type !== "data") throw new Error("not a data message: " + content);
    if (message.seq === undefined) {
      summary.unsequenced += 1;
      return;
    }
    if (typeof message.seq !== "string") throw new Error("seq is not a string: " + content);
    const seq = Number(message.seq);
    if (seq <= lastSeq) {
      summary.repeats += 1;
      return;
    }
    lastSeq = seq;
    summary.seqs.push(seq);
    taken += 1;
    if (taken >= limit) {
      dropped = true;
      socket.terminate();
    }
  });
  socket.on("error", (problem) => {
    summary.closes.push(String(problem));
    say(summary);
    process.exit(1);
  });
  socket.on("close", (code) => {
    if (dropped) {
      connect();
      return;
    }
    summary.closes.push(code);
    say(summary);
  });
}

connect();
