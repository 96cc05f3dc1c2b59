"""The windows of the fan-out stay within their bytes, the ready frames of every variant counted in."""

from __future__ import annotations

from touchline.delivery.fanout import FanoutLimits
from touchline.delivery.fanout.tail import Chunk, Chunks, Entry, Tail
from touchline.model import Lane, Record

from .worlds import Choice, Encoding, World, event

VARIANTS = 20
LIMIT = 200_000


def record(offset: int, size: int = 100) -> Record:
    return Record(offset, offset, 0, event("game", Lane.EVENT, data=b"x" * size))


def held(entries: list[Entry]) -> int:
    """Bytes of data and frames, without what objects cost."""
    return sum(
        len(entry.record.event.data) + sum(len(frame or b"") for frame in (entry.frames or {}).values())
        for entry in entries
    )


def test_frames_count_in_the_tail() -> None:
    tail = Tail(0, max_records=10_000, max_bytes=LIMIT)
    for offset in range(1, 2000):
        entry = tail.add(record(offset))
        for variant in range(VARIANTS):
            entry.keep(variant, b"f" * 500)
        assert held(list(tail.after(tail.floor, None, None))) <= LIMIT + VARIANTS * 500
    assert 10 < len(tail) < LIMIT // (VARIANTS * 500), "without its frames five times as many would fit"
    for offset in range(2000, 4000):
        tail.add(record(offset))
    assert tail.size_bytes <= LIMIT, "what has left is counted no more"
    assert len(tail) > 200


def test_a_frame_of_what_has_left_is_nobodys_weight() -> None:
    tail = Tail(0, max_records=10, max_bytes=LIMIT)
    first = tail.add(record(1))
    for offset in range(2, 100):
        tail.add(record(offset))
    before = tail.size_bytes
    first.keep("late", b"f" * 1000)
    assert tail.size_bytes == before


def test_frames_count_in_chunks() -> None:
    chunks = Chunks(LIMIT)
    kept = {}
    for number in range(200):
        chunk = kept[number] = Chunk(number, [record(number + 1)], number + 1)
        chunks.put(number, chunk)
        for variant in range(VARIANTS):
            chunk.entries[0].keep(variant, b"f" * 500)
    there = [number for number in kept if chunks.get(number) is kept[number]]
    assert there[-1] == 199
    assert held([kept[number].entries[0] for number in there]) <= LIMIT + VARIANTS * 500
    assert len(there) > 10


def test_a_chunk_that_is_read_again_counts_once() -> None:
    chunks = Chunks(LIMIT)
    others = [Chunk(number, [record(1, 1000)], 1) for number in range(10)]
    for number, chunk in enumerate(others):
        chunks.put(number, chunk)
    for _ in range(1000):
        chunks.put("again", Chunk(0, [record(1, 1000)], 1))
    assert all(chunks.get(number) is chunk for number, chunk in enumerate(others))


def test_sessions_of_many_variants_do_not_widen_the_window() -> None:
    encodings = [Encoding(f"kind-{number}") for number in range(VARIANTS)]
    world = World(FanoutLimits(tail_records=100_000, tail_bytes=8 * LIMIT))
    sinks = [world.reader(encoding, Choice(subject="game")) for encoding in encodings]
    world.settle()
    for _ in range(40):
        world.append(*[event("game", data=b'"%b"' % (b"x" * 500)) for _ in range(25)])
    assert all(sink.offsets == world.offsets(Choice(subject="game")) for sink in sinks)
    slow = world.reader(encodings[0], Choice(subject="game"), 0)
    reads = world.log.reads
    world.settle()
    assert slow.offsets == world.offsets(Choice(subject="game"))
    assert world.log.reads > reads, "the records alone would all be in the window"
