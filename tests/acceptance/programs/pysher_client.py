"""A ProphetX client on the ``pysher`` library, in the way of the provider's own example; nothing of it is touchline's.

    ACCESS_KEY=… SECRET_KEY=… python pysher_client.py http://127.0.0.1:8080

It logs in with JSON that has no Content-Type, reads tournaments and connection-config, and opens the socket. Whenever
that is established it asks ``mm/pusher`` for its channels with a form, lets the library ask the same address for each
signature, binds every tournament by hand on the broadcast channel, a new one as soon as ``general`` tells of it, and
every binding event on the private channel.

Prints a JSON document a line: {"connected":socket_id}, {"subscribed":channel}, {"health":{…}}, and for every change
{"change":{"channel","event","change_type","op","payload","timestamp"}}.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from typing import Any

import pysher
import requests
from pysher.channel import Channel

BASE = sys.argv[1] + "/partner"
SUBSCRIPTIONS = json.dumps([{"type": "tournament", "ids": []}])


def say(**what: object) -> None:
    print(json.dumps(what), flush=True)


class Client:
    """A partner's connection."""

    def __init__(self) -> None:
        keys = {"access_key": os.environ["ACCESS_KEY"], "secret_key": os.environ["SECRET_KEY"]}
        answer = requests.post(BASE + "/auth/login", data=json.dumps(keys), timeout=15)
        answer.raise_for_status()
        self.headers = {"Authorization": "Bearer " + answer.json()["data"]["access_token"]}
        config = self.get("/websocket/connection-config")
        self.pusher = pysher.Pusher(
            key=config["key"],
            cluster=config["cluster"],
            secure=False,
            custom_host=config["ws_host"],
            port=config["ws_port"],
            auth_endpoint=BASE + "/mm/pusher",
            auth_endpoint_headers=self.headers | {"header-subscriptions": SUBSCRIPTIONS},
            reconnect_interval=1,
        )
        self.pusher.connection.bind("pusher:connection_established", self.established)

    def get(self, path: str) -> Any:
        answer = requests.get(BASE + path, headers=self.headers, timeout=15)
        answer.raise_for_status()
        return answer.json()

    def established(self, data: str) -> None:
        socket_id = json.loads(data)["socket_id"]
        say(connected=socket_id)
        found = requests.post(BASE + "/mm/pusher", data={"socket_id": socket_id}, headers=self.headers, timeout=15)
        found.raise_for_status()
        for one in found.json()["data"]["authorized_channel"]:
            name = one["channel_name"]
            channel = self.pusher.subscribe(name)
            channel.bind("pusher_internal:subscription_succeeded", lambda _, name: say(subscribed=name), name)
            if "broadcast" in name:
                channel.bind("general", self.general, channel)
                for tournament in self.get("/mm/get_tournaments")["data"]["tournaments"]:
                    self.follow(channel, tournament["id"])
            else:
                for binding in one["binding_events"]:
                    channel.bind(binding["name"], self.taken, name, binding["name"])

    def follow(self, channel: Channel, tournament: int) -> None:
        event = f"tournament_{tournament}"
        if event not in channel.event_callbacks:
            channel.bind(event, self.taken, channel.name, event)

    def general(self, data: str, channel: Channel) -> None:
        self.taken(data, channel.name, "general")
        change = json.loads(data)
        if (change["change_type"], change["op"]) == ("tournament", "c"):
            self.follow(channel, json.loads(base64.b64decode(change["payload"]))["info"]["id"])

    def taken(self, data: str, channel: str, event: str) -> None:
        message = {"channel": channel, "event": event, **json.loads(data)}
        if event == "health_check":
            say(health=message)
        else:
            say(change=message)


client = Client()
client.pusher.connect()
client.pusher.connection.join()
say(ended=client.pusher.connection.state)
