"""Appends to the log in argv[1] until it is killed; prints the ids of each acknowledged batch on a line."""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path

from touchline.clock import SystemClock
from touchline.log.sqlite import SqliteLog
from touchline.testing.log import event, state


async def main(path: Path, life: str) -> None:
    log = SqliteLog(path, SystemClock())
    await log.start()

    async def publish(client: int) -> None:
        for number in itertools.count():
            batch = [event(f"{life}-{client}-{number}-{step}") for step in range(3)]
            await log.append([*batch, state(f"s-{life}-{client}-{number}", "k")])
            await log.append([state(f"t-{life}-{client}-{number}", "k")])
            print(*(item.id for item in batch), flush=True)

    await asyncio.gather(*(publish(client) for client in range(4)))


asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
