// A consumer of the Insights Push after the provider's page (shared/seeds/001_dd3eff252db36f97.txt): an open POST
// endpoint on Express that answers 200 at once, confirms a subscription by a GET of its SubscribeURL, and checks each
// insight with the page's own two lines.
//
//   SECRET_FILE=… [SNS_HOST=127\\.0\\.0\\.1:8443] node insights_receiver.js PORT [--no-confirm]
//
// The file is read when the first insight comes: the secret is known when the endpoint is, and that is asked at once.
// With SNS_HOST (a pattern) every SNS message is also given to `sns-validator`. Prints {"listening":port}, and a line
// for each request: {"asked":topic}, {"confirmed":topic,"status":…,"body":…}, {"ended":topic} or
// {"insight":"<JSON.stringify>","verified":…,"timestamp":…,"form":"raw"|"envelope","type":…,"topic":…,"message":id},
// the SNS messages with "envelope":{…} and "sns":"ok" or what is wrong.
"use strict";
const crypto = require("crypto");
const express = require("express");
const fs = require("fs");
const MessageValidator = require("sns-validator");

let SECRET_KEY = null;
const confirms = !process.argv.includes("--no-confirm");
const validator = process.env.SNS_HOST ? new MessageValidator(new RegExp(`^${process.env.SNS_HOST}$`)) : null;

function say(what) {
  process.stdout.write(JSON.stringify(what) + "\n");
}

function judged(text) {
  return new Promise((resolve) => {
    if (!validator) resolve(undefined);
    else validator.validate(JSON.parse(text), (problem) => resolve(problem ? String(problem) : "ok"));
  });
}

function isGenuine(event) {
  const { timestamp, signature } = event;
  SECRET_KEY = SECRET_KEY || fs.readFileSync(process.env.SECRET_FILE, "utf8");
  // ---- the page's example
  const signedPayload = `${timestamp}.${JSON.stringify(event.insight)}`
  const computedSignature = crypto.createHmac('sha256', SECRET_KEY).update(signedPayload).digest('hex')
  // ---- the example ends
  return computedSignature === signature;
}

function visit(url) {
  const client = require(url.startsWith("https:") ? "https" : "http");
  return new Promise((resolve, reject) => {
    client
      .get(url, (response) => {
        let body = "";
        response.setEncoding("utf8");
        response.on("data", (part) => { body += part; });
        response.on("end", () => resolve({ status: response.statusCode, body }));
      })
      .on("error", reject);
  });
}

async function handle(request) {
  const message = JSON.parse(request.body);
  const sns = message.Type ? await judged(request.body) : undefined;
  if (message.Type === "SubscriptionConfirmation") {
    say({ asked: message.TopicArn, envelope: message, sns, type: request.headers["content-type"] });
    if (confirms) say({ confirmed: message.TopicArn, ...(await visit(message.SubscribeURL)) });
    return;
  }
  if (message.Type === "UnsubscribeConfirmation") {
    say({ ended: message.TopicArn, envelope: message, sns });
    return;
  }
  const event = message.Type === "Notification" ? JSON.parse(message.Message) : message;
  say({
    insight: JSON.stringify(event.insight),
    verified: isGenuine(event),
    timestamp: event.timestamp,
    form: message.Type ? "envelope" : "raw",
    envelope: message.Type ? message : undefined,
    sns,
    type: request.headers["content-type"],
    raw: request.headers["x-amz-sns-rawdelivery"],
    kind: request.headers["x-amz-sns-message-type"],
    topic: request.headers["x-amz-sns-topic-arn"],
    message: request.headers["x-amz-sns-message-id"],
  });
}

const app = express();
app.use(express.text({ type: () => true, limit: "5mb" }));
app.post("/", (request, response) => {
  response.sendStatus(200);
  handle(request).catch((problem) => say({ failed: String(problem), body: request.body }));
});
const server = app.listen(Number(process.argv[2]), "127.0.0.1", () => say({ listening: server.address().port }));
