"""``python -m bench.stress --sessions 5000 --seed 1``: figures, bench/results/stress.json, exit code 1 on a fault."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import resource
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final

import uvloop

from bench.soak.hub import HubUnderTest
from bench.stress.account import Account, total
from bench.stress.attacks import bad_readers, floods
from bench.stress.ending import leaks, stop_under_load
from bench.stress.returning import come_back, resume_at_once
from bench.stress.world import SETTINGS, Stress

WINDOWS_MIB: Final = 104.0
"""The newest records, what was read of the log, what was joined: the hub keeps these full (its ``FanoutLimits``)."""
SLACK_MIB: Final = 16.0
KEPT_MIB: Final = 0.004
"""Of each session that was there the allocator may keep so much for the next one."""


async def run(stress: Stress, sessions: int, seconds: float, said: Path) -> None:
    """All phases."""
    await asyncio.to_thread(stress.prepare, 2000)
    await stress.begin(said)
    await stress.quiet(seconds / 4)
    await come_back(stress)
    await resume_at_once(stress)
    await bad_readers(stress, seconds)
    await floods(stress)
    await leaks(stress, most_more_mib=WINDOWS_MIB + SLACK_MIB + sessions * KEPT_MIB)
    await stop_under_load(stress)


def table(stress: Stress, faults: list[str]) -> list[str]:
    """What was provoked, and the accounts."""
    lines = ["faults provoked:"]
    lines += [f"  {count:>7,} {kind}" for kind, count in stress.provoked.items()]
    lines.append(f"  {stress.provoked.total():>7,} cases of {len(stress.provoked)} kinds")
    names = [name.replace("_", " ") for name in Account._fields]
    lines.append(f"{'accounts':<28}" + "".join(f"{name:>12}" for name in names))
    rows = {**stress.accounts, "all": total(stress.accounts.values())}
    lines += [f"  {name:<26}" + "".join(f"{count:>12,}" for count in row) for name, row in rows.items()]
    lines.append("left behind:")
    lines += [f"  {name.replace('_', ' ')}: {value}" for name, value in stress.figures.get("left", {}).items()]
    return [*lines, f"wrong: {len(faults)}"]


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m bench.stress", description=__doc__)
    parser.add_argument("--sessions", type=int, default=5000, help="how many resume at once; the rest is in proportion")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long bad readers are fed")
    parser.add_argument("--patience", type=float, default=5.0, help="the hub's stall_seconds and header_seconds")
    parser.add_argument("--seed", type=int, default=None, help="drawn and printed when it is not given")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results" / "stress.json")
    given = parser.parse_args()
    gc.set_threshold(50_000, 20, 100)  # as the hub does: what is here lives on, and looking at it again and again costs
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as scratch:
        waits = {"stall_seconds": given.patience, "header_seconds": given.patience}
        hub = HubUnderTest(Path(scratch) / "data", {**SETTINGS, **waits})
        stress = Stress(hub, given.sessions, given.patience, seed, lambda text: print(text, flush=True))
        try:
            hub.start()
            uvloop.run(run(stress, given.sessions, given.seconds, Path(scratch) / "neighbours.log"))
        finally:
            stress.close()
            hub.terminate()
        faults = stress.faults + [f"the hub's log: {line}" for line in hub.faults()[:5]]
    for name, value in stress.figures.items():
        if name != "left":
            print(f"  {name}: {value}")
    print("\n".join(table(stress, faults)))
    accounts = {name: account._asdict() for name, account in stress.accounts.items()}
    document = {
        "seed": seed,
        "sessions": given.sessions,
        "faults": faults,
        "provoked": stress.provoked,
        "accounts": accounts,
        **stress.figures,
    }
    given.out.parent.mkdir(exist_ok=True)
    given.out.write_text(json.dumps(document, indent=1))
    print("FAILED: " + "; ".join(faults) if faults else "passed")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
