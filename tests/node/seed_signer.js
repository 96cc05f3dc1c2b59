// The provider's own example of request signing (shared/seeds/000_7de013f4cf6f65ae.txt), as it stands there except that
// host and path are arguments and the line breaks that the page lost are put back. Below it, the request is sent as
// the example's last comment says, to the address given first.
//
//   EVENT_USERNAME=… EVENT_SECRET=… node seed_signer.js http://127.0.0.1:8080 host path [query]
//
// Prints {"status":…,"body":"…"}.

// ---- the example
var crypto = require("crypto");

var userName = process.env.EVENT_USERNAME || "your-username";
var secret = process.env.EVENT_SECRET || "your-secret";
var host = process.argv[3];
var pathUriWithoutQueryString = process.argv[4];
var method = "GET";
var date = new Date().toUTCString();
var requestLine = method + " " + pathUriWithoutQueryString + " HTTP/1.1";

var stringToSign =
  "date: " + date.trim() + "\n" +
  "host: " + host + "\n" +
  requestLine;

var encodedSignature = crypto
  .createHmac("sha1", secret)
  .update(stringToSign)
  .digest("base64");

var hmacAuth =
  'hmac username="' + userName +
  '",algorithm="hmac-sha1",headers="date host request-line",signature="' +
  encodedSignature + '"';

// Send with your request: date, host, Authorization: <hmacAuth>
// ---- the example ends

var query = process.argv[5] ? "?" + process.argv[5] : "";
var base = new URL(process.argv[2]);
require("http")
  .request(
    {
      hostname: base.hostname,
      port: base.port,
      path: pathUriWithoutQueryString + query,
      method: method,
      headers: { date: date, host: host, Authorization: hmacAuth },
      agent: false,
    },
    function (response) {
      var body = "";
      response.setEncoding("utf8");
      response.on("data", function (part) { body += part; });
      response.on("end", function () {
        console.log(JSON.stringify({ status: response.statusCode, body: body }));
      });
    }
  )
  .end();
