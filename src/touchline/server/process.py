"""What a hub asks of its whole process before it starts: descriptors, hand-overs between threads, memory.

Owns the process-wide settings of Python, of the C library and of the system; nothing of the hub.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import sys
from contextlib import suppress
from typing import Final

_M_MMAP_THRESHOLD: Final = -3
"""mallopt(3)"""
LARGE_BLOCK_BYTES: Final = 256 * 1024


def prepare() -> None:
    """Set all of it, once, before there are threads."""
    _raise_file_limit()
    map_large_blocks()
    # A silent name server holds up one of libcurl's few resolver threads: 2 s each, not the usual 10 (resolv.conf(5)).
    os.environ.setdefault("RES_OPTIONS", "timeout:1 attempts:2")
    # The log's writer thread and the event loop hand work to each other; each hand-over would cost Python's 5 ms.
    sys.setswitchinterval(0.0001)
    # Tens of thousands of records live in the tail: looking at all of them again and again finds no garbage.
    gc.set_threshold(50_000, 20, 100)


def keep_what_is_there() -> None:
    """Take everything that is alive now for lasting: no collection of garbage looks at it again.

    The modules alone are some 40,000 objects. To look at them all takes 10 to 20 ms, in which the event loop stands.
    """
    gc.collect()
    gc.freeze()


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def map_large_blocks() -> bool:
    """Have the C library map blocks of ``LARGE_BLOCK_BYTES`` and more by themselves, for good; False where it cannot.

    glibc takes the size of each mapped block that is freed for its new threshold, up to 32 MiB. From then on the pages
    read for those that are behind lie in the heap; records settle in the holes that they leave, the next page finds
    none that is large enough, and the heap grows with every burst though what is in use does not.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES) == 1
