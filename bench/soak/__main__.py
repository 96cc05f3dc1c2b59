"""``python -m bench.soak --minutes 30 --seed 1``: a table, bench/results/soak.json, and exit code 1 on a fault."""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from bench.soak.run import Options, Soak

_COLUMNS: Final = (
    "owed", "delivered", "pending", "explained", "dead", "lost", "inversions", "duplicates", "most_duplicates",
    "too_many_duplicates", "foreign", "damaged", "late",
)  # fmt: skip
MOST_RISE_MIB_PER_MINUTE: Final = 1.0
FILLED_SECONDS: Final = 1500.0
"""Only a hub that has lived so long has filled its windows and SQLite's caches (up to 128 MiB) at this load."""
MOST_RESIDENT_MIB: Final = 640.0
"""All windows, caches and sandbox states at their bounds, with a third for the allocator."""


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=None, help="drawn and printed when it is not given")
    parser.add_argument("--sessions", type=int, default=500)
    parser.add_argument("--endpoints", type=int, default=60)
    parser.add_argument("--speed", type=float, default=10.0, help="how many times as fast as life games are played")
    parser.add_argument("--kill-seconds", type=float, nargs=2, default=(120.0, 240.0), metavar=("LEAST", "MOST"))
    parser.add_argument("--scratch", type=Path, default=None, help="keep data and logs here")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    options = Options(given.minutes, seed, given.sessions, given.endpoints, given.speed, tuple(given.kill_seconds))
    _say(f"seed {seed}")
    if given.scratch is not None:
        given.scratch.mkdir(parents=True)
        result = Soak(options, given.scratch, _say).run()
    else:
        with tempfile.TemporaryDirectory() as scratch:
            result = Soak(options, Path(scratch), _say).run()
    failures = judge(result)
    result["failures"] = failures
    results = Path(__file__).parents[1] / "results"
    results.mkdir(exist_ok=True)
    (results / "soak.json").write_text(json.dumps(result, indent=1, ensure_ascii=False))
    show(result)
    return 1 if failures else 0


def judge(result: dict[str, Any]) -> list[str]:
    """What is not as it must be."""
    failures = []
    if result["faults"]:
        failures.append(f"{result['faults']} pairs are not accounted for as they must be")
    failures += [f"{name}: {value}" for name, value in result["log"].items() if value and name in _NOTHING]
    failures += [f"{len(result[name])} {name}" for name in ("problems",) if result[name]]
    if result["hub"]["error_lines"]:
        failures.append(f"{len(result['hub']['error_lines'])} ERROR lines in the hub's log")
    if result["session_figures"]["gaps"]:
        failures.append(f"{result['session_figures']['gaps']} gaps were told though nothing was removed")
    rise = result["vitals"]["mib_per_minute_second_half"]
    if result["vitals"]["resident_mib_most"] > MOST_RESIDENT_MIB:
        failures.append(f"the hub took {result['vitals']['resident_mib_most']} MiB")
    if rise > MOST_RISE_MIB_PER_MINUTE and result["vitals"]["longest_life_seconds"] > FILLED_SECONDS:
        failures.append(f"the hub's memory rises by {rise} MiB a minute")
    return failures


_NOTHING: Final = ("acknowledged_lost", "stored_twice", "seq_holes", "acknowledged_wagers_missing")


def show(result: dict[str, Any]) -> None:
    """The table."""
    _say(f"\nsoak of {result['minutes']:g} minutes, seed {result['seed']}")
    for title in ("log", "fed", "hub", "session_figures"):
        _say(f"  {title}: " + ", ".join(f"{name} {value}" for name, value in result[title].items()))
    _say("  " + "".join(f"{name[:11]:>12}" for name in ("pairs of", *_COLUMNS)))
    for part in ("sessions", "endpoints"):
        for name, count in result[part].items():
            _say("  " + f"{name:>12}" + "".join(f"{count[column]:>12}" for column in _COLUMNS))
    vitals = {
        name: value for name, value in result["vitals"].items() if not name.startswith(("series", "resident_mib_by"))
    }
    _say("  hub: " + ", ".join(f"{name} {value}" for name, value in vitals.items()))
    for phase, values in result["vitals"]["resident_mib_by_age"].items():
        _say(f"    resident MiB at {phase:>6}, life by life: {values}")
    for problem in result["problems"][:20]:
        _say(f"  problem: {problem}")
    _say("  " + ("FAILED: " + "; ".join(result["failures"]) if result["failures"] else "passed"))


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}" if text[:1].isdigit() else text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
