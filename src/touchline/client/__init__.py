"""The SDK: receive any feed as its client, publish into a hub, operate one. Needs msgspec, urllib3 and websockets only.

``connect`` (async) and ``iterate`` (sync) drive a feed's client role, ``Receiver`` takes a feed's webhooks;
``HubClient`` speaks a hub's own API.
"""

from touchline.client.connection import Connection, connect, iterate
from touchline.client.hub import HubClient, HubRefused, Key, Page, Published
from touchline.client.receiver import Receiver

__all__ = ["Connection", "HubClient", "HubRefused", "Key", "Page", "Published", "Receiver", "connect", "iterate"]
