"""Those who have nothing to do with it: a publisher and readers of a stream of their own, in a process of their own.

``python -m bench.stress.neighbours URL PUBLISHER_KEY KEY POSITION COUNT``. ``{"do":"cut"}`` on stdin is answered by how
they fared since the last one, ``{"do":"stop"}`` ends it.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from typing import Any, Final

import msgspec
import uvloop

from bench.stress.account import total
from bench.stress.readers import TYPE, Reader
from touchline.client.hub import HubClient

SUBJECT: Final = "neighbours"
PER_SECOND: Final = 100
BATCH: Final = 10
CATCH_UP_SECONDS: Final = 30.0


class Neighbours:
    """See the module docstring."""

    def __init__(self, url: str, publisher_key: str, key: str, position: str, count: int) -> None:
        self._client = HubClient(url, publisher_key)
        self._readers = [Reader(url, key, position, 0, SUBJECT, timed=True) for _ in range(count)]
        self._head = 0

    async def run(self) -> None:
        """Until it is told to stop."""
        for one in self._readers:
            await one.open()
        publishing = asyncio.create_task(self._publish_on())
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        print('{"ready":true}', flush=True)
        while line := await lines.readline():
            if msgspec.json.decode(line)["do"] == "stop":
                break
            print(msgspec.json.encode(await self._cut()).decode(), flush=True)
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
        for one in self._readers:
            one.close()

    async def _publish_on(self) -> None:
        due = time.monotonic()
        while True:
            due += BATCH / PER_SECOND
            await asyncio.to_thread(self._publish)
            self._head += BATCH
            await asyncio.sleep(due - time.monotonic())

    def _publish(self) -> None:
        lines = []
        for number in range(self._head + 1, self._head + BATCH + 1):
            head = {"specversion": "1.0", "id": f"n-{number}", "source": "/neighbours", "type": TYPE}
            data = {"type": "JERSEY_COLORS", "at": time.monotonic()}
            lines.append(msgspec.json.encode({**head, "subject": SUBJECT, "data": data}))
        self._client.publish(lines)

    async def _cut(self) -> dict[str, Any]:
        head, end = self._head, time.monotonic() + CATCH_UP_SECONDS
        while any(one.seq < head for one in self._readers) and time.monotonic() < end:
            await asyncio.sleep(0.02)
        delays = [delay * 1000 for one in self._readers for delay in one.delays]
        for one in self._readers:
            one.delays.clear()
        cuts = statistics.quantiles(delays, n=100) if len(delays) > 1 else [0.0] * 99
        return {
            "p50": round(cuts[49], 2),
            "p99": round(cuts[98], 2),
            "of": len(delays),
            "closed": sum(not one.is_open for one in self._readers),
            "account": total(one.account(head) for one in self._readers),
        }


def main() -> None:
    """See the module docstring."""
    url, publisher_key, key, position, count = sys.argv[1:]
    uvloop.run(Neighbours(url, publisher_key, key, position, int(count)).run())


if __name__ == "__main__":
    main()
