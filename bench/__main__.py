"""``python -m bench [publish] [fanout] [webhooks] [pusher]``: a table, and the same as JSON into bench/results/."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from bench import fanout, publish, pusher, webhooks

BENCHES = {"publish": publish.run, "fanout": fanout.run, "webhooks": webhooks.run, "pusher": pusher.run}


def main() -> int:
    """Run the named ones, or all."""
    names = sys.argv[1:] or list(BENCHES)
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        print(f"no bench {unknown[0]!r}; there are {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    rows = []
    for name in names:
        with tempfile.TemporaryDirectory() as scratch:
            rows += BENCHES[name](Path(scratch))
    for row in rows:
        print(row["work"])
        print(f"    {row['figure']}   against {row['baseline']}   ratio {row['ratio']}   target {row['target']}")
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "latest.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
