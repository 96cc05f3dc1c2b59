// Gives each line of standard input, an SNS message as JSON, to AWS's own `sns-validator`.
//
//   NODE_EXTRA_CA_CERTS=ca.pem node sns_validate.js HOST_PATTERN
//
// Prints "ok" or what is wrong with it, a line a message, in their order.
"use strict";
const MessageValidator = require("sns-validator");
const validator = new MessageValidator(new RegExp(`^${process.argv[2]}$`));

async function main() {
  for await (const line of require("readline").createInterface({ input: process.stdin })) {
    const verdict = await new Promise((resolve) => {
      validator.validate(JSON.parse(line), (problem) => resolve(problem ? String(problem) : "ok"));
    });
    process.stdout.write(verdict + "\n");
  }
}

main();
