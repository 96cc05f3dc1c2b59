"""A process with sessions: reads its part of a plan, obeys JSON lines on stdin, leaves its notes in a file.

``python -m bench.soak.load PLAN PART NOTES``; PART is such as 0/2. Commands: ``{"do":"game","court":…,"game":…}``,
``{"do":"partner","partner":{…}}``, ``{"do":"settle"}``, ``{"do":"report"}``, ``{"do":"stop"}``.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import sys
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from bench.soak.sessions import KINDS, Session, Surroundings
from bench.soak.world import Partner, Plan


class Load:
    """The sessions of one process."""

    def __init__(self, plan: Plan, part: int, parts: int) -> None:
        self.around = Surroundings(plan.url, {one.name: one for one in plan.partners}, plan.start)
        self.sessions: list[Session] = [KINDS[one.kind](self.around, one) for one in plan.sessions[part::parts]]

    async def run(self, notes: Path) -> None:
        """Until ``stop``; then the notes are written."""
        tasks = [asyncio.create_task(self._guarded(one)) for one in self.sessions]
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            command = msgspec.json.decode(line)
            if command["do"] == "stop":
                break
            self._obey(command)
        kept = [one.notes() for one in self.sessions]
        self.around.stopping = True
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with notes.open("wb") as file:
            pickle.dump(kept, file)
        print(msgspec.json.encode({"written": str(notes)}).decode(), flush=True)

    async def _guarded(self, session: Session) -> None:
        try:
            await session.run()
        except asyncio.CancelledError:
            raise
        except Exception as problem:  # a client that is wrong must show in the account
            session.problems.append(f"the client failed: {problem!r}")

    def _obey(self, command: dict[str, Any]) -> None:
        match command["do"]:
            case "game":
                self.around.games[command["court"]] = command["game"]
            case "partner":
                partner = msgspec.convert(command["partner"], Partner)
                self.around.partners[partner.name] = partner
                self.around.logins.pop(partner.name, None)
            case "settle":
                self.around.settling.set()
            case "report":
                report = {
                    "messages": sum(one.messages for one in self.sessions),
                    "open": sum(one.line is not None and one.line.is_open for one in self.sessions),
                    "problems": [text for one in self.sessions for text in one.problems][:3],
                }
                print(msgspec.json.encode(report).decode(), flush=True)


def main() -> None:
    """See the module docstring."""
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)
    part, _, parts = sys.argv[2].partition("/")

    async def run() -> None:
        await Load(plan, int(part), int(parts)).run(Path(sys.argv[3]))

    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(run())


if __name__ == "__main__":
    main()
