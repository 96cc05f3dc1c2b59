"""A session that was open already took an answer that it had not asked for, and refused the handshake a second time."""

from __future__ import annotations

import pytest

from touchline.feeds import registry
from touchline.feeds.base import Accept, Admission, Ask, FindAdmission, FindPosition, FindSecret, Member, PositionView
from touchline.feeds.prophetx import apps
from touchline.testing.memory import MemoryHub
from touchline.testing.roles import upgrade_request

SECRET = "5" * 64
URLS = {
    "hub": "ws://h/hub/v1/ws",
    "prophetx": f"ws://h/app/{apps.app_of(SECRET, 'alice').key}?protocol=7",
}


def _answer(question: object) -> Admission | PositionView | Member | str:
    match question:
        case FindAdmission():
            return Admission("k", None, {})
        case FindPosition():
            return PositionView(0, "testepoch1-0", "testepoch1-0")
        case FindSecret():
            return SECRET
    return Member("alice", "prophetx", {}, {"partner_id": "5f2c0a3e-8a3f-4f5e-9f44-0d1b8e5a7c11"})


@pytest.mark.parametrize("name", URLS)
def test_an_open_session_is_told_nothing(name: str) -> None:
    hub = MemoryHub(registry.load(name))
    surface = hub.feed.websocket
    assert surface is not None
    session = surface.open(upgrade_request(URLS[name]), hub.entropy, hub.now())
    settled: list[object] = []
    while wishes := session.events_received():
        for wish in wishes:
            if isinstance(wish, Ask):
                session.told(wish.number, _answer(wish.question), hub.now())
            else:
                settled.append(wish)
    assert isinstance(settled[0], Accept)
    for number in range(5):
        session.told(number, None, hub.now())
        assert session.events_received() == []
