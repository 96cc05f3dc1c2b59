// Makes tests/feeds/insights/payloads/javascript_vectors.json: what Node prints of each text, and its
// signature of an insight that holds it.
//
//   node insights_vectors.js > ../feeds/insights/payloads/javascript_vectors.json
"use strict";
const crypto = require("crypto");

const SECRET = "a shared secret é ☂";
const texts = [
  "1.0", "1E5", "1e-7", "1e21", "-0", "-0.0", "0.0", "12345678901234567890", "1e400", "-1e400", "1e-400",
  "9007199254740991", "9007199254740992", "9007199254740993", "9007199254740994", "-9007199254740993",
  "18446744073709551616", "100000000000000000000", "1e23", "1.5e300", "5e-324", "2.2250738585072014e-308",
  "0.1", "0.30000000000000004", "0.1234567890123456789", "123456789012345678901234567890.5", "0.000001", "1e-6",
  "1.25e-6", "0.0000001", "123e-20", "1e16", "1.7976931348623157e308", "-1E-7", "4.35", "100", "1e0", "1.10",
  '{"10":1,"2":2,"a":3,"01":4,"-1":5,"4294967294":6,"4294967295":7,"1.5":8,"":9}',
  '{"b":1,"a":2,"b":3}', '{"b":{"2":1},"b":{"3":1,"1":2}}', '{"__proto__":1,"constructor":{"toString":2}}',
  '"\\u00e9 é \\u2028\\u2029 \\u007f \\/ / < > &"', '"\\b\\t\\n\\f\\r\\u0000\\u001f\\u000b\\\\ \\" \\u0022"',
  '"\\ud83c\\udfc0 🏀"', '"lone \\ud800 and \\udc00x"', '{"\\ud800":"\\udfff\\ud800"}', '"\\uD83C"',
  " { \"a\" : [ 1 , 2.50 , null , true , false , { } , [ ] ] } ", "[]", "{}", '""', "null", "true",
  '{"id":"0b5f9b0e-5d1f-4c35-9b3a-6f3a6f1f2c11","relevancyIndex":0.50,"event":{"current":1.0E1,"overUnder":-110}}',
];
const timestamps = [1795089600000, "1795089600000", "2026-11-19T12:00:00.000Z", 1795089600000.5, 1e21];
const vectors = texts.map((text, index) => {
  const timestamp = timestamps[index % timestamps.length];
  const printed = JSON.stringify(JSON.parse(text));
  const insight = `{ "v" : ${text} }`;
  const signed = `${timestamp}.${JSON.stringify(JSON.parse(insight))}`;
  const signature = crypto.createHmac("sha256", SECRET).update(signed).digest("hex");
  return { text, printed, insight, timestamp: JSON.stringify(timestamp), signature };
});
process.stdout.write(JSON.stringify({ secret: SECRET, vectors }, null, 1) + "\n");
