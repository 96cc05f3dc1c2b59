// Reads one list of the Insights REST page by page, as a JavaScript client sees it.
//
//   TOKEN=… node insights_rest.js URL
//
// Prints {"status":…,"items":["<JSON.stringify>",…]} a page.
"use strict";
const start = new URL(process.argv[2]);
const client = require(start.protocol === "https:" ? "https" : "http");

function page(token) {
  const url = new URL(start);
  if (token) url.searchParams.set("pageToken", token);
  client.get(url, { headers: { Authorization: process.env.TOKEN } }, (response) => {
    let body = "";
    response.setEncoding("utf8");
    response.on("data", (part) => { body += part; });
    response.on("end", () => {
      const answer = JSON.parse(body);
      const items = (answer.results || []).map((item) => JSON.stringify(item));
      process.stdout.write(JSON.stringify({ status: response.statusCode, items }) + "\n");
      if (answer.pageToken) page(answer.pageToken);
    });
  });
}

page("");
