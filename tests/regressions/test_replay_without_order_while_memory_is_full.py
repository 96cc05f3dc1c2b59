"""Without order each record is a lane of its own. A replay emptied the lane of one that was under way, and left it
standing before the place that was replayed from; when the record was taken again and did not fit into memory, what the
lane then read of the log was looked for at that place, and not found: the record was lost.
"""

from __future__ import annotations

from touchline.delivery.courier.backlog import Backlog
from touchline.delivery.courier.policy import Ordering
from touchline.model import Event, Record


def record(offset: int) -> Record:
    return Record(offset, offset, 0, Event("f", "f.x", "a", "/s", str(offset), b"{}", 0, 0))


def test_what_is_under_way_when_a_replay_begins_is_owed_again() -> None:
    backlog = Backlog(0, Ordering.NONE, lane_records=16, held_bytes=800)
    for offset in (1, 2, 3):
        backlog.take(record(offset))
    under_way = backlog.lanes[3]
    backlog.refill(under_way, [(record(3), "")], 3)
    backlog.begin(under_way)
    backlog.rewind(1)
    for offset in (2, 3):
        backlog.take(record(offset))
    backlog.again(under_way, None)
    backlog.refill(under_way, [(record(3), "")], 3)
    assert [item.record.offset for item in under_way.items] == [3]
    assert backlog.lanes[3] is under_way
