"""What a hub asks of its process, seen from a process of its own: it cannot be taken back."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

MIB = 1024 * 1024
SCRIPT = f"""
import ctypes
from touchline.server import process

class Figures(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "free_chunks", "fast_chunks", "maps", "mapped", "unused", "fast_bytes", "used", "free", "on_top")]

library = ctypes.CDLL(None)
library.mallinfo2.restype = Figures
if {{prepared}}:
    process.prepare()
bytes(8 * {MIB})
large = bytes(8 * {MIB})
print(library.mallinfo2().mapped)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="not glibc 2.33 or later")
def test_a_large_block_is_mapped_however_many_were_freed_before(tmp_path: Path) -> None:
    def mapped(prepared: bool) -> int:
        script = tmp_path / "script.py"
        script.write_text(SCRIPT.format(prepared=prepared))
        return int(subprocess.run([sys.executable, script], capture_output=True, check=True, timeout=60).stdout)

    assert mapped(prepared=True) >= 8 * MIB
    assert mapped(prepared=False) < 8 * MIB, "else it needs not be asked for any more"


KEEPING = """
import gc, weakref
import touchline.server.app
from touchline.server import process

class Cycle:
    pass

process.keep_what_is_there()
print(len(gc.get_objects()))
later = Cycle()
later.itself = later
known = weakref.ref(later)
del later
gc.collect()
print(known() is None)
"""


def test_what_lasts_is_not_looked_at_again_and_later_garbage_is(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(KEEPING)
    looked_at, collected = subprocess.run(
        [sys.executable, script], capture_output=True, check=True, timeout=60, text=True
    ).stdout.split()
    assert int(looked_at) < 1000, "of some 40,000"
    assert collected == "True"
