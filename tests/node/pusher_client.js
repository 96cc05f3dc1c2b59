// A ProphetX client on the `pusher-js` library.
//
//   ACCESS_KEY=… SECRET_KEY=… node pusher_client.js http://127.0.0.1:8080 [OPTIONS]
//
// It logs in, reads connection-config, connects, asks `mm/pusher` for its channels and subscribes to them; the library
// asks the same address for the signatures, and comes back by itself. OPTIONS is JSON: `pusher` (options of the library,
// such as activityTimeout), `also` (channels to subscribe to besides), `forge` (channels whose signature is spoilt).
//
// Prints a JSON document a line: {"state":…}, {"connected":socket_id}, {"subscribed":channel}, {"refused":{…}},
// {"pong":n}, {"stray":channel} (a message of a channel that was not asked for), {"health":{…}}, and for every change
// {"change":{channel,event,change_type,op,payload,timestamp}}. The library reads numbers as JavaScript does, so that of a
// timestamp the last digits are lost; a payload is text.
"use strict";
const Pusher = require("pusher-js");

const base = process.argv[2] + "/partner";
const options = JSON.parse(process.argv[3] || "{}");
const forge = options.forge || [];
let pongs = 0;

function say(what) {
  process.stdout.write(JSON.stringify(what) + "\n");
}

async function ask(path, init) {
  const answer = await fetch(base + path, init);
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

function form(fields, headers) {
  return { method: "POST", headers, body: new URLSearchParams(fields) };
}

async function main() {
  const keys = { access_key: process.env.ACCESS_KEY, secret_key: process.env.SECRET_KEY };
  const session = (await ask("/auth/login", { method: "POST", body: JSON.stringify(keys) })).data;
  const headers = { Authorization: `Bearer ${session.access_token}` };
  const config = await ask("/websocket/connection-config", { headers });

  const pusher = new Pusher(config.key, {
    cluster: config.cluster,
    wsHost: config.ws_host,
    wsPort: config.ws_port,
    forceTLS: false,
    enabledTransports: ["ws"],
    channelAuthorization: forge.length ? { customHandler: forging } : { endpoint: base + "/mm/pusher", headers },
    ...options.pusher,
  });

  function forging({ socketId, channelName }, give) {
    ask("/mm/pusher", form({ socket_id: socketId, channel_name: channelName }, headers)).then(
      ({ auth }) => give(null, { auth: forge.includes(channelName) ? auth.replace(/:.*/, ":" + "0".repeat(64)) : auth }),
      (problem) => give(problem, null)
    );
  }

  function subscribe(name) {
    pusher.subscribe(name).bind_global((event, data) => {
      if (event === "pusher:subscription_succeeded") say({ subscribed: name });
      else if (event === "pusher:subscription_error") say({ refused: { channel: name, ...data } });
      else if (event === "health_check") say({ health: { channel: name, event, ...data } });
      else say({ change: { channel: name, event, ...data } });
    });
  }

  let asked = false;
  pusher.connection.bind("state_change", ({ current }) => say({ state: current }));
  pusher.connection.bind("message", ({ event, channel }) => {
    if (event === "pusher:pong") say({ pong: ++pongs });
    if (channel && !pusher.channel(channel)) say({ stray: channel });
  });
  pusher.connection.bind("connected", async () => {
    say({ connected: pusher.connection.socket_id });
    if (asked) return; // it subscribes again by itself
    asked = true;
    const found = await ask("/mm/pusher", form({ socket_id: pusher.connection.socket_id }, headers));
    for (const one of found.data.authorized_channel) subscribe(one.channel_name);
    for (const name of options.also || []) subscribe(name);
  });
}

main();
