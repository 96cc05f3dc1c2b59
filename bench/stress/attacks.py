"""What bad clients do to the hub, while the neighbours go on."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from typing import Final
from urllib.parse import urlsplit

from bench.clients import SMALL_BUFFER, Line, frame, websocket_head
from bench.soak.vitals import look
from bench.stress.world import MIB, Stress

BACKLOG: Final = 262_144
"""The setting ``session_backlog_bytes``: what may wait for one session in the hub."""
SPARE_BYTES: Final = 96 * 1024 * 1024
"""What the hub's shared windows and allocator may take beside that."""
PINGS: Final = 5000
HURRIED: Final = 4
"""So many of the slow readers are asked to read everything in the end."""
_RESET: Final = struct.pack("ii", 1, 0)


async def bad_readers(stress: Stress, seconds: float) -> None:
    """Some never read, some read a little, some vanish without a word, some break off or end their half."""
    each = max(4, stress.sessions // 50)
    before = look(*stress.process()).resident
    stalled_before = (await stress.metrics())["fanout_stalled"]
    never = [stress.reader(0) for _ in range(each)]
    for one in never:
        (await one.open(pace=1)).vanish()
    slow = [stress.reader(len(stress.positions) - 1) for _ in range(each)]
    for one in slow:
        await one.open(pace=round(3 * SMALL_BUFFER / stress.patience))  # three bufferfuls while the hub waits for one
    half = [stress.reader(len(stress.positions) - 1) for _ in range(each)]
    for one in half:
        (await one.open()).vanish()
    fin = [stress.reader(len(stress.positions) - 1) for _ in range(each)]
    for one in fin:
        (await one.open()).end_half()
    peak, resets, began = before, 0, time.monotonic()
    # What the system's own buffers hold is no stall: it is fed until they are full, too.
    while time.monotonic() < began + seconds or not await _has_stalled(stress, stalled_before + each):
        await asyncio.to_thread(stress.publish, 500)
        resets += await _reset_some(stress, each // 4 + 1)
        peak = max(peak, look(*stress.process()).resident)
        if time.monotonic() > began + seconds + 40:
            stress.check(holds=False, what="those that never read are not closed")
            break
        await asyncio.sleep(0.1)
    took = time.monotonic() - began
    limit = 4 * each * BACKLOG * 2 + SPARE_BYTES
    stress.check(peak - before <= limit, f"bad readers cost {(peak - before) / MIB:.0f} MiB, over {limit / MIB:.0f}")
    stress.check(all(one.is_open for one in slow), "a slow reader that reads was closed")
    some, others = slow[:HURRIED], slow[HURRIED:]
    for one in some:
        assert one.line is not None
        one.line.hurry()
    head = stress.head
    await stress.until(lambda: all(one.seq >= head for one in some), 60, "slow readers that hurry have all")
    stress.enter("slow readers", (one.account(head) for one in some))
    if others:
        stress.enter("slow readers, still behind", (one.account(head, pending=True) for one in others))
    kinds = ("never reads", "reads slowly", "vanishes without a word", "ends its half")
    stress.provoked.update(dict.fromkeys(kinds, each))
    stress.provoked["resets during a write"] += resets
    stress.figures["bad_readers"] = {
        "of_each_kind": each,
        "resets_during_writes": resets,
        "most_more_mib": round((peak - before) / MIB, 1),
        "allowed_mib": round(limit / MIB, 1),
        "never_readers_closed_after_seconds": round(took, 1),
        "slow_readers_behind": max((head - one.seq for one in others), default=0),
    }
    await stress.gone((*never, *slow, *half, *fin))
    await stress.end_phase("bad readers")


async def _has_stalled(stress: Stress, count: float) -> bool:
    return (await stress.metrics())["fanout_stalled"] >= count


async def _reset_some(stress: Stress, count: int) -> int:
    """Connections that end by RST in the middle of what they are sent."""
    for _ in range(count):
        reader = stress.reader(0)
        line = await reader.open()
        plain = line.socket()
        if plain is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        await asyncio.sleep(stress.dice.uniform(0, 0.01))
        line.abort()
    return count


async def floods(stress: Stress) -> None:
    """Handshakes with bad keys, heads that never end, pings without end, messages and heads that are too long."""
    count = max(50, stress.sessions // 5)
    refused: dict[int, int] = {}
    for at in range(0, count, 50):
        for status in await asyncio.gather(*(_bad_handshake(stress) for _ in range(min(50, count - at)))):
            refused[status] = refused.get(status, 0) + 1
    stress.check(set(refused) <= {401, 429, 503}, f"bad handshakes were answered {refused}")
    idle = await _idle_heads(stress, max(10, count // 10))
    pongs = await _pings(stress, PINGS)
    over = await _oversize(stress)
    stress.provoked["handshakes with a bad key"] += count
    stress.provoked["heads that never end"] += max(10, count // 10)
    stress.provoked["pings without end"] += PINGS
    stress.provoked["messages and heads too long"] += len(over)
    stress.figures["floods"] = {
        "bad_handshakes": {str(status): times for status, times in sorted(refused.items())},
        "idle_heads_closed_after_seconds": idle,
        "pings_answered": pongs,
        "oversize": over,
    }
    await stress.end_phase("floods")


async def _bad_handshake(stress: Stress) -> int:
    headers = {"Authorization": f"Bearer {stress.dice.getrandbits(128):x}"}
    head = websocket_head(stress.hub.url, "/hub/v1/ws", headers)
    try:
        line = await Line.open(stress.hub.url, head, lambda _: None, address=f"127.0.9.{stress.dice.randrange(1, 5)}")
    except (OSError, TimeoutError):
        return 503
    line.abort()
    return line.opened.result()


async def _idle_heads(stress: Stress, count: int) -> float:
    """Half of them say nothing, half a byte a second."""
    parts = urlsplit(stress.hub.url)
    opened = [await asyncio.open_connection(parts.hostname, parts.port) for _ in range(count)]
    began = time.monotonic()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, speaks: bool) -> float:
        done = asyncio.ensure_future(reader.read())
        while not done.done() and time.monotonic() < began + 20:
            if speaks:
                writer.write(b"G")
            await asyncio.wait({done}, timeout=1)
        closed = done.done()
        done.cancel()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await done
        writer.transport.abort()
        return time.monotonic() - began if closed else float("inf")

    took = await asyncio.gather(*(drip(*one, speaks=bool(number % 2)) for number, one in enumerate(opened)))
    limit = stress.patience + 10
    stress.check(max(took) <= limit, f"heads that never end are open after {limit:g} s")
    return round(max(took), 1) if max(took) < float("inf") else -1.0


async def _pings(stress: Stress, count: int) -> int:
    """As fast as they go, without reading an answer first."""
    reader = stress.reader(len(stress.positions) - 1)
    line = await reader.open()
    for _ in range(count):
        line.write(frame(b"p" * 100, 9))
    target = stress.head
    await stress.until(lambda: line.closed.done() or reader.seq >= target, 20, "records come through a flood of pings")
    stress.enter("pings", [reader.account(target, pending=line.closed.done())])
    answered = line.pongs
    reader.close()
    return answered


async def _oversize(stress: Stress) -> dict[str, str]:
    found: dict[str, str] = {}
    reader = stress.reader(len(stress.positions) - 1)
    line = await reader.open()
    line.write(b"\x81\xff" + (1 << 40).to_bytes(8) + b"\0\0\0\0")
    await stress.until(line.closed.done, 10, "a message of a terabyte ends its session")
    found["message"] = str(line.closed.result()) if line.closed.done() else "open"
    stress.check(found["message"] == "1009", f"a message of a terabyte was closed with {found['message']}")
    for name, head in (
        ("request line", b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("headers", b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: " + b"a" * 200_000 + b"\r\n\r\n"),
    ):
        found[name] = await _raw(stress, head)
        stress.check(found[name] in ("400", "414", "431", "closed"), f"an endless {name} was answered {found[name]}")
    return found


async def _raw(stress: Stress, content: bytes) -> str:
    parts = urlsplit(stress.hub.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        async with asyncio.timeout(10):
            writer.write(content)
            answer = await reader.read(64)
    except (OSError, TimeoutError) as problem:
        return "nothing" if isinstance(problem, TimeoutError) else "closed"
    finally:
        writer.transport.abort()
    return answer.split(b" ")[1].decode() if b" " in answer else "closed"
