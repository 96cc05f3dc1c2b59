"""``python -m bench.stress --sessions 5000 --seed 1``: figures, bench/results/stress.json, exit code 1 on a fault."""

from __future__ import annotations

import argparse
import asyncio
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
from bench.stress.phases import SETTINGS, Stress

KEPT_MIB: Final = 0.02
"""Of each session that was there the allocator may keep so much for the next one; the hub's windows come beside it."""


async def run(stress: Stress, sessions: int, seconds: float, said: Path) -> None:
    """All phases."""
    await asyncio.to_thread(stress.prepare, 2000)
    await stress.begin(said)
    await stress.quiet(seconds / 4)
    await stress.resume_at_once()
    await stress.bad_readers(seconds)
    await stress.floods()
    await stress.leaks(most_more_mib=128.0 + sessions * KEPT_MIB)
    await stress.stop_under_load()


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m bench.stress", description=__doc__)
    parser.add_argument("--sessions", type=int, default=5000, help="how many resume at once; the rest is in proportion")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long bad readers are fed")
    parser.add_argument("--patience", type=float, default=5.0, help="the hub's stall_seconds and header_seconds")
    parser.add_argument("--seed", type=int, default=None, help="drawn and printed when it is not given")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results" / "stress.json")
    given = parser.parse_args()
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
        print(f"  {name}: {value}")
    document = {"seed": seed, "sessions": given.sessions, "faults": faults, **stress.figures}
    given.out.parent.mkdir(exist_ok=True)
    given.out.write_text(json.dumps(document, indent=1))
    print("FAILED: " + "; ".join(faults) if faults else "passed")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
