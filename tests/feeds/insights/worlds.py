"""What the tests of insights share: payloads, an endpoint, a hub with a signing key that was made once."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec

from touchline.feeds import registry
from touchline.feeds.base import EndpointView, Hosting, Instant, Member, Outgoing, Subscription, Trust, subscription_id
from touchline.feeds.insights.webhooks import InsightsCodec
from touchline.testing.memory import START_NS, MemoryHub
from touchline.wire import sns
from touchline.wire.http import HttpRequest, Pairs

PAYLOADS = Path(__file__).parent / "payloads"
INSIGHT = (PAYLOADS / "synthetic_insight.json").read_bytes()
TOPIC = "nba/milestones/en"
KIND = "insights.insight"
SECRET = "a shared secret é ☂"
TOKEN = "Zm9vYmFyYmF6"
BASE_URL = "https://hub.example:8443"
MESSAGE_ID = "0b5f9b0e-5d1f-4c35-9b3a-6f3a6f1f2c11"
NOW = Instant(START_NS, 1000.0)

CODEC = InsightsCodec()


@cache
def signing() -> str:
    """A key and certificate; making one takes a while."""
    return sns.make_signing("test")


def hosting() -> Hosting:
    """The hub as a codec sees it."""
    return Hosting(BASE_URL, signing())


def endpoint(**options: str) -> EndpointView:
    """An endpoint of partner acme."""
    return EndpointView("ep_1", "acme", (SECRET,), ("nba/*/*", "nhl/scoring/fr"), "prod", options)


def new_hub(**grants: str) -> MemoryHub:
    """A hub with partner acme."""
    member = Member("acme", "insights", {key: frozenset({value}) for key, value in grants.items()}, {"token": TOKEN})
    hub = MemoryHub(registry.load("insights"), [member], BASE_URL)
    hub.secrets["insights.signing"] = signing()
    hub.views.append(endpoint())
    return hub


def subscription(topic: str = TOPIC, state: str = "pending", number: int = 1) -> Subscription:
    """A subscription of the endpoint."""
    return Subscription(
        subscription_id("ep_1", topic),
        "insights",
        "acme",
        "ep_1",
        topic,
        state,
        token=f"{number:02x}" * 160,
        issued_at=START_NS + 813_000_000,
        expires_at=START_NS + 48 * 3600 * 10**9,
        to_tell=True,
        number=number,
    )


def trust(*secrets: str, **more: object) -> Trust:
    """What a receiver of the hub's messages believes."""
    plain = Trust(
        secrets or (SECRET,),
        hosts=frozenset({"hub.example:8443"}),
        certificates={f"{BASE_URL}/{sns.certificate_name(signing())}": sns.certificate(signing())},
    )
    return msgspec.structs.replace(plain, **more)


def posted(data: bytes = INSIGHT, topic: str = TOPIC, view: EndpointView | None = None) -> Outgoing:
    """An insight as it is posted."""
    hub = new_hub()
    record = hub.publish(KIND, topic, data)
    view = view or endpoint()
    prepared = CODEC.prepare(record, CODEC.variant(view))
    assert prepared is not None
    return CODEC.finish(prepared, view, MESSAGE_ID, NOW, hosting())


def get(path: str, query: Pairs = (), headers: Pairs = (("authorization", TOKEN),), **path_params: str) -> HttpRequest:
    """A request to the hub."""
    return HttpRequest("GET", path, path, query, headers, address="192.0.2.7", path_params=path_params)
