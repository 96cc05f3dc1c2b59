"""Posts to names in a network of its own, whose name server is ours: run under ``unshare -rmn``, prints JSON.

The network has loopback and one public address, 93.184.216.34, both on this machine; ``/etc/resolv.conf`` is ours in
here alone.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from ipaddress import ip_address, ip_network
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from receivers import Receiver
from touchline.delivery.courier import handle as handle_module
from touchline.delivery.courier.client import WebhookClient
from touchline.delivery.courier.transport import Post, Reply

PUBLIC = "93.184.216.34"
A, AAAA, CNAME = 1, 28, 5
SERVFAIL, NXDOMAIN = 2, 3
ZONE: dict[str, list[str]] = {
    "public.test": [PUBLIC],
    "private.test": ["10.0.0.1"],
    "loopback.test": ["127.0.0.1"],
    "metadata.test": ["169.254.169.254"],
    "mixed.test": ["127.0.0.1", "10.0.0.1", PUBLIC, "169.254.169.254"],
    "mapped.test": ["::ffff:127.0.0.1"],
    "v6.test": ["::1", "fd00:ec2::254", "fe80::1"],
    "nat64.test": ["64:ff9b::7f00:1"],
    "6to4.test": ["2002:7f00:1::"],
    "moving.test": [PUBLIC],
    "falling.test": [PUBLIC],
    "alias.test": ["loopback.test"],
}
SILENT = {"silent.test"}


class NameServer(threading.Thread):
    """Answers from ``ZONE``; ``servfail.test`` fails, those in ``SILENT`` are never answered, others do not exist."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 53))

    def run(self) -> None:
        while True:
            query, peer = self._socket.recvfrom(4096)
            labels, at = [], 12
            while query[at]:
                labels.append(query[at + 1 : at + 1 + query[at]].decode())
                at += 1 + query[at]
            name, kind = ".".join(labels).lower(), struct.unpack_from("!H", query, at + 1)[0]
            self.asked.append(name)
            if name not in SILENT:
                self._socket.sendto(self._answer(query[: at + 5], name, kind), peer)

    def _answer(self, query: bytes, name: str, kind: int) -> bytes:
        known = ZONE.get(name)
        code = SERVFAIL if name == "servfail.test" else 0 if known is not None else NXDOMAIN
        records = [record for text in known or () for record in self._records(text, kind)]
        flags = 0x8180 | code
        return query[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0) + query[12:] + b"".join(records)

    def _records(self, text: str, kind: int) -> list[bytes]:
        """Of one address; or of an alias and what it leads to."""
        try:
            address = ip_address(text)
        except ValueError:
            target = b"".join(bytes([len(label)]) + label.encode() for label in text.split(".")) + b"\0"
            alias = b"\xc0\x0c" + struct.pack("!HHIH", CNAME, 1, 0, len(target)) + target
            led = [target + record[2:] for one in ZONE[text] for record in self._records(one, kind)]
            return [alias, *led]
        if kind != (A if address.version == 4 else AAAA):
            return []
        return [b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, len(address.packed)) + address.packed]


async def ask(client: WebhookClient, url: str, seconds: float = 5.0) -> Reply:
    answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    client.send(Post(url, (), b"{}", seconds, seconds * 2), answered.set_result)
    return await answered


def told(reply: Reply) -> list[object]:
    return [reply.status, reply.trouble and reply.trouble.name, reply.detail]


async def main() -> dict[str, object]:
    found: dict[str, object] = {}
    server = NameServer()
    server.start()
    client = WebhookClient()
    with Receiver(host="0.0.0.0") as receiver:
        for name in [*ZONE, "nobody.test", "servfail.test"]:
            before = receiver.connections
            found[name] = told(await ask(client, receiver.url("close-idle", name)))
            found[name + " connections"] = receiver.connections - before
        found["silent.test"] = told(await ask(client, receiver.url("ok", "silent.test"), 0.4))
        healthy = await asyncio.gather(
            *(ask(client, receiver.url("ok", "silent.test"), 0.4) for _ in range(40)),
            ask(client, receiver.url("ok", "public.test")),
        )
        found["beside silence"] = told(healthy[-1])

        first = await ask(client, receiver.url("close-idle", "moving.test"))
        ZONE["moving.test"] = ["127.0.0.1"]
        before = receiver.connections
        second = await ask(client, receiver.url("ok", "moving.test"))
        found["moved"] = [told(first), told(second), receiver.connections - before]

        first = await ask(client, receiver.url("close-idle", "falling.test"))
        SILENT.add("falling.test")
        found["fallen silent"] = [told(first), told(await ask(client, receiver.url("close-idle", "falling.test"), 0.4))]

        kept = WebhookClient([ip_network("127.0.0.0/8")])
        found["allowed"] = told(await ask(kept, receiver.url("ok", "loopback.test")))
        found["allowed mapped"] = told(await ask(kept, receiver.url("ok", "mapped.test")))
        found["allowed nat64"] = told(await ask(kept, receiver.url("ok", "nat64.test")))
        answered: list[Reply] = []
        kept.send(Post(receiver.url("ok", "silent.test"), (), b""), answered.append)
        while server.asked[-1] != "silent.test":
            await asyncio.sleep(0)
        await kept.close()
        under_way = any(thread.name == "webhook-client-close" for thread in threading.enumerate())
        found["closed during a look-up"] = [told(answered[0]), under_way]
        await client.close()
    return found


if __name__ == "__main__":
    subprocess.run("ip link set lo up && ip address add 93.184.216.34/32 dev lo", shell=True, check=True)
    with tempfile.NamedTemporaryFile("w") as settings:
        settings.write("nameserver 127.0.0.1\noptions timeout:5 attempts:2\n")
        settings.flush()
        subprocess.run(["mount", "--bind", settings.name, "/etc/resolv.conf"], check=True)
        handle_module._DNS_SECONDS = 0
        print(json.dumps(asyncio.run(main())))
