// Answers each line of standard input (a JSON string that holds JSON text) with what JSON.stringify(JSON.parse(text))
// prints, as a JSON string; null when the text is not JSON.
"use strict";
require("readline")
  .createInterface({ input: process.stdin, crlfDelay: Infinity })
  .on("line", (line) => {
    let printed = null;
    try {
      printed = JSON.stringify(JSON.parse(JSON.parse(line)));
    } catch (problem) {
      if (!(problem instanceof SyntaxError)) throw problem;
    }
    process.stdout.write(JSON.stringify(printed) + "\n");
  });
