// Verifies every webhook with the `standardwebhooks` package.
//
//   SECRETS="whsec_… whsec_…" node standard_webhooks_receiver.js PORT
//
// Prints {"listening":port}, and {"id":…,"verified":[one true or false for each secret],"event":…} for each request.
"use strict";
const http = require("http");
const { Webhook } = require("standardwebhooks");

const webhooks = process.env.SECRETS.split(" ").map((secret) => new Webhook(secret));

function say(what) {
  process.stdout.write(JSON.stringify(what) + "\n");
}

const server = http.createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const body = Buffer.concat(parts).toString("utf8");
    let event = null;
    const verified = webhooks.map((webhook) => {
      try {
        event = webhook.verify(body, request.headers);
        return true;
      } catch (problem) {
        return false;
      }
    });
    say({ id: request.headers["webhook-id"], verified, event, signature: request.headers["webhook-signature"] });
    response.statusCode = verified.includes(true) ? 204 : 401;
    response.end();
  });
});
server.listen(Number(process.argv[2]), "127.0.0.1", () => say({ listening: server.address().port }));
