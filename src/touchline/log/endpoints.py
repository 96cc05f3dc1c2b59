"""The directory of webhook endpoints and of the subscriptions that tie receivers to topics; durable, on every backend.

Everything is in memory from ``start`` on and kept current by the store's watch. An endpoint belongs to one membership
of a partner: when that is gone the endpoint is dead, whatever is still stored of it. Where an endpoint stands in the
log is not here (that is the courier's); who may see what is not decided here (that is the feed's codec).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal

import msgspec

from touchline.clock import Clock
from touchline.errors import NotFound
from touchline.feeds.base import EndpointView, Member, Subscription, subscription_id
from touchline.log.base import KeyValue
from touchline.log.directory import Directory
from touchline.log.entries import Entropy
from touchline.log.followers import Followers
from touchline.log.updating import update

ENDPOINTS: Final = "endpoints"
SUBSCRIPTIONS: Final = "subscriptions"

TOKEN_SECONDS: Final = 48 * 3600
"""How long a handshake can be answered (insights sheet, 4: SNS's two days)."""
MAX_SECRETS: Final = 5
_TOKEN_BYTES: Final = 160

Status = Literal["active", "paused", "disabled"]
OnChange = Callable[[str, str], None]
"""kind ('endpoint' or 'subscription') and the id"""

_Key = tuple[str, str, str, str]
"""(feed, partner, endpoint, topic) of a subscription"""


class Secret(msgspec.Struct, frozen=True):
    """One of an endpoint's secrets; the newest has no end, those before it end after the overlap."""

    value: str
    created_at: int
    expires_at: int | None = None

    def __repr__(self) -> str:
        return f"Secret('***', {self.created_at!r}, {self.expires_at!r})"


class Endpoint(msgspec.Struct, frozen=True):
    """A partner's webhook receiver. Times in nanoseconds.

    ``topics`` and ``options`` are as they were given. ``begins`` is the log's head when it was made: what was appended
    before is not owed. ``status`` is the operator's will, or the hub's own (``by_hub``): paused after a long outage,
    disabled by a 410. ``member_since`` names the membership that it belongs to.
    """

    id: str
    partner: str
    feed: str
    url: str
    topics: tuple[str, ...]
    label: str
    options: Mapping[str, str]
    secrets: tuple[Secret, ...]
    begins: int
    created_at: int
    member_since: int
    status: Status = "active"
    by_hub: bool = False
    reason: str = ""
    changed_at: int = 0

    def __repr__(self) -> str:
        # An address may hold a key, and an option a header's value.
        return f"Endpoint({self.id!r}, {self.partner!r}, {self.feed!r}, {self.topics!r}, {self.status!r})"


class Endpoints:
    """See the module docstring; implements ``touchline.feeds.base.SubscriptionPort``. ``start`` first, ``close`` last.

    ``head`` gives the log's head; ``feed_options`` the names of the options that a feed's codec may see.
    """

    def __init__(
        self,
        kv: KeyValue,
        directory: Directory,
        clock: Clock,
        entropy: Entropy,
        head: Callable[[], int],
        feed_options: Mapping[str, Iterable[str]],
    ) -> None:
        self._kv = kv
        self._directory = directory
        self._clock = clock
        self._entropy = entropy
        self._head = head
        self._feed_options = {feed: frozenset(names) for feed, names in feed_options.items()}
        self._end_watch: Callable[[], None] | None = None
        self._loading: set[tuple[str, str]] | None = None
        self._endpoints: dict[str, Endpoint] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._by_key: dict[_Key, str] = {}
        self._by_token: dict[tuple[str, str], str] = {}
        self._by_endpoint: dict[str, dict[str, None]] = {}
        self._untold: dict[str, None] = {}
        self.changes: Followers[[str, str]] = Followers()

    async def start(self) -> None:
        """Load everything, and keep it current from then on."""
        self._loading = set()
        self._end_watch = self._kv.watch(self._watched)
        for bucket in (ENDPOINTS, SUBSCRIPTIONS):
            for key, entry in (await self._kv.list(bucket)).items():
                if (bucket, key) not in self._loading:
                    self._apply(bucket, key, entry.value)
        self._loading = None
        await self.forget_the_dead()

    async def close(self) -> None:
        """End the watch."""
        if self._end_watch is not None:
            self._end_watch()
            self._end_watch = None

    def on_change(self, callback: OnChange) -> Callable[[], None]:
        """Call after every change of an endpoint or a subscription, by whichever node."""
        return self.changes.add(callback)

    # endpoints

    def all(self) -> list[Endpoint]:
        """Every endpoint whose partner still has its feed, oldest first."""
        found = (endpoint for endpoint in self._endpoints.values() if self._belongs(endpoint))
        return sorted(found, key=lambda endpoint: (endpoint.created_at, endpoint.id))

    def get(self, endpoint_id: str) -> Endpoint:
        """The endpoint. Raises NotFound."""
        endpoint = self._endpoints.get(endpoint_id)
        if endpoint is None or not self._belongs(endpoint):
            raise NotFound(f"there is no endpoint {endpoint_id[:80]!r}")
        return endpoint

    def member(self, endpoint: Endpoint) -> Member | None:
        """Who receives there, with its grants; None while the partner is suspended, and for good once it is removed."""
        return self._directory.member(endpoint.feed, partner=endpoint.partner) if self._belongs(endpoint) else None

    def view(self, endpoint: Endpoint) -> EndpointView:
        """As the feed's codec sees it, with the secrets that are good now."""
        now = self._clock.wall_ns()
        known = self._feed_options.get(endpoint.feed, frozenset())
        return EndpointView(
            endpoint.id,
            endpoint.partner,
            tuple(one.value for one in endpoint.secrets if one.expires_at is None or one.expires_at > now),
            endpoint.topics,
            endpoint.label,
            {name: value for name, value in endpoint.options.items() if name in known},
        )

    async def add(
        self,
        partner: str,
        feed: str,
        url: str,
        *,
        topics: tuple[str, ...],
        label: str,
        options: Mapping[str, str],
        secret: str,
        ask: Iterable[str] = (),
    ) -> Endpoint:
        """A new endpoint, which is owed what is appended from now on; ``ask`` are the topics to ask for by a handshake.

        Raises NotFound when the partner does not have that feed.
        """
        membership = self._directory.membership(partner, feed)
        if membership is None:
            raise NotFound(f"partner {partner[:80]!r} does not have feed {feed[:64]!r}; 'partner add' gives it")
        now = self._clock.wall_ns()
        endpoint = Endpoint(
            f"ep_{self._entropy(10).hex()}",
            partner,
            feed,
            url,
            topics,
            label,
            dict(options),
            (Secret(secret, now),),
            self._head(),
            now,
            membership.created_at,
            changed_at=now,
        )
        await update(self._kv, ENDPOINTS, endpoint.id, Endpoint, lambda _: endpoint)
        await self._ask(endpoint, ask)
        return endpoint

    async def change(
        self,
        endpoint_id: str,
        *,
        url: str | None = None,
        topics: tuple[str, ...] | None = None,
        label: str | None = None,
        options: Mapping[str, str] | None = None,
        ask: Iterable[str] | None = None,
        again: bool = False,
    ) -> Endpoint:
        """Change what is given. ``ask`` are all the topics that are to be confirmed: new ones are asked for, those that
        are no more in it end, the others go on undisturbed; ``again`` asks for them anew while they go on. At another
        address nothing is confirmed yet. Raises NotFound.
        """
        before = self.get(endpoint_id)

        def changed(old: Endpoint | None) -> Endpoint:
            if old is None:
                raise NotFound(f"there is no endpoint {endpoint_id[:80]!r}")
            return msgspec.structs.replace(
                old,
                url=old.url if url is None else url,
                topics=old.topics if topics is None else topics,
                label=old.label if label is None else label,
                options=old.options if options is None else dict(options),
            )

        if ask is not None and url is not None and url != before.url:
            # Before the address, so that not even a crash between the two opens one that has confirmed nothing.
            await self._close(endpoint_id)
        endpoint = await update(self._kv, ENDPOINTS, endpoint_id, Endpoint, changed)
        if ask is not None:
            await self._ask(endpoint, ask, moved=endpoint.url != before.url, again=again)
        return endpoint

    async def set_status(self, endpoint_id: str, status: Status, *, reason: str = "", by_hub: bool = False) -> Endpoint:
        """Pause, disable or make active again; what the operator paused the hub does not touch. Raises NotFound."""

        def changed(old: Endpoint | None) -> Endpoint:
            if old is None:
                raise NotFound(f"there is no endpoint {endpoint_id[:80]!r}")
            if by_hub and old.status != "active" and not old.by_hub:
                return old
            if (old.status, old.reason, old.by_hub) == (status, reason, by_hub):
                return old
            now = self._clock.wall_ns()
            return msgspec.structs.replace(old, status=status, reason=reason, by_hub=by_hub, changed_at=now)

        return await update(self._kv, ENDPOINTS, endpoint_id, Endpoint, changed)

    async def rotate_secret(self, endpoint_id: str, secret: str, overlap_seconds: float) -> Endpoint:
        """A new secret; the one before it stays good for the overlap, so that receivers can change over."""

        def changed(old: Endpoint | None) -> Endpoint:
            if old is None:
                raise NotFound(f"there is no endpoint {endpoint_id[:80]!r}")
            now = self._clock.wall_ns()
            until = now + int(overlap_seconds * 1e9)
            kept = [
                msgspec.structs.replace(one, expires_at=min(until, one.expires_at or until))
                for one in old.secrets
                if one.expires_at is None or one.expires_at > now
            ]
            kept = [one for one in kept if one.expires_at is None or one.expires_at > now]
            return msgspec.structs.replace(old, secrets=(Secret(secret, now), *kept[: MAX_SECRETS - 1]))

        return await update(self._kv, ENDPOINTS, endpoint_id, Endpoint, changed)

    async def remove(self, endpoint_id: str) -> None:
        """Remove an endpoint with its subscriptions. Raises NotFound."""
        self.get(endpoint_id)
        await self._forget(endpoint_id)

    async def forget_the_dead(self) -> None:
        """Clean up what belongs to memberships that are gone."""
        for endpoint in list(self._endpoints.values()):
            if not self._belongs(endpoint):
                await self._forget(endpoint.id)
        for subscription in list(self._subscriptions.values()):
            if await self._is_orphan(subscription):
                await self._kv.delete(SUBSCRIPTIONS, subscription.id)

    async def _is_orphan(self, subscription: Subscription) -> bool:
        """Its partner is gone; or its endpoint is, and the removal was cut off before it came to this."""
        if not subscription.endpoint:
            return self._directory.membership(subscription.partner, subscription.feed) is None
        if subscription.endpoint in self._endpoints:
            return False
        return await self._kv.get(ENDPOINTS, subscription.endpoint) is None

    async def _forget(self, endpoint_id: str) -> None:
        await self._kv.delete(ENDPOINTS, endpoint_id)
        for subscription in self.subscriptions_of(endpoint_id):
            await self._kv.delete(SUBSCRIPTIONS, subscription.id)

    def _belongs(self, endpoint: Endpoint) -> bool:
        membership = self._directory.membership(endpoint.partner, endpoint.feed)
        return membership is not None and membership.created_at == endpoint.member_since

    # subscriptions

    def subscriptions_of(self, endpoint_id: str) -> list[Subscription]:
        """Those of one endpoint, by topic."""
        found = (self._subscriptions[name] for name in self._by_endpoint.get(endpoint_id, ()))
        return sorted(found, key=lambda one: one.topic)

    def to_tell(self) -> list[Subscription]:
        """Those whose handshake has not been answered yet."""
        return [self._subscriptions[name] for name in self._untold]

    def subscription(self, subscription_id: str) -> Subscription | None:
        """The subscription of that id."""
        return self._subscriptions.get(subscription_id)

    def find(self, feed: str, partner: str, topic: str, endpoint: str = "") -> Subscription | None:
        """The subscription of a partner (or of one endpoint) to a topic."""
        found = self._by_key.get((feed, partner, endpoint, topic))
        return None if found is None else self._subscriptions.get(found)

    def by_id(self, feed: str, subscription_id: str) -> Subscription | None:
        """The subscription of that id."""
        found = self._subscriptions.get(subscription_id)
        return found if found is not None and found.feed == feed else None

    def by_token(self, feed: str, token: str) -> Subscription | None:
        """The subscription whose newest handshake carries that token."""
        found = self._by_token.get((feed, token))
        return None if found is None else self._subscriptions.get(found)

    def endpoints(self, feed: str, partner: str) -> tuple[EndpointView, ...]:
        """The partner's endpoints in that feed."""
        own = (one for one in self._endpoints.values() if one.feed == feed and one.partner == partner)
        return tuple(self.view(one) for one in own if self._belongs(one))

    async def begin(self, feed: str, partner: str, topic: str) -> Subscription:
        """Subscribe all of a partner's endpoints to a topic from now on; one that stands stays."""
        standing = self.find(feed, partner, topic)
        if standing is not None:
            return standing
        # Two calls at once make one entry: its key is what it is about.
        key = str(uuid.uuid5(uuid.NAMESPACE_URL, msgspec.json.encode((feed, partner, topic)).decode()))
        new = Subscription(key, feed, partner, "", topic, "confirmed", self._head(), issued_at=self._clock.wall_ns())
        return await update(self._kv, SUBSCRIPTIONS, key, Subscription, lambda old: old or new)

    async def confirm(self, subscription: Subscription) -> Subscription:
        """A pending or ended subscription is owed what comes from now on; a confirmed one stays as it is."""

        def confirmed(old: Subscription | None) -> Subscription:
            if old is None:
                raise NotFound("the subscription is gone")
            if old.state == "confirmed":
                return old
            if old.token != subscription.token:  # it was ended or asked anew meanwhile: this answers neither
                raise NotFound("the subscription is another by now")
            # The receiver has answered with this what the handshake asked, whatever it said to the POST.
            return msgspec.structs.replace(old, state="confirmed", since=self._head(), to_tell=False)

        return await update(self._kv, SUBSCRIPTIONS, subscription.id, Subscription, confirmed)

    async def end(self, subscription: Subscription, *, tell: bool = False) -> None:
        """Owe nothing any more."""
        if not subscription.endpoint:
            await self._kv.delete(SUBSCRIPTIONS, subscription.id)
            return

        def ended(old: Subscription | None) -> Subscription:
            if old is None:
                raise NotFound("the subscription is gone")
            return old if old.state == "ended" else self._renewed(old, "ended", to_tell=tell)

        await update(self._kv, SUBSCRIPTIONS, subscription.id, Subscription, ended)

    async def told(self, subscription: Subscription) -> None:
        """The handshake of this number was answered with 2xx, or is given up."""

        def told(old: Subscription | None) -> Subscription:
            if old is None:
                raise NotFound("the subscription is gone")
            return msgspec.structs.replace(old, to_tell=False) if old.number == subscription.number else old

        await update(self._kv, SUBSCRIPTIONS, subscription.id, Subscription, told)

    async def _close(self, endpoint_id: str) -> None:
        """What was confirmed is to be asked for anew, but not yet; no handshake of before is good for it."""
        confirmed = [one for one in self.subscriptions_of(endpoint_id) if one.state == "confirmed"]
        pending = {one.id: msgspec.json.encode(self._renewed(one, "pending", to_tell=False)) for one in confirmed}
        if pending:
            await self._kv.put_many(SUBSCRIPTIONS, pending)

    async def _ask(
        self, endpoint: Endpoint, topics: Iterable[str], *, moved: bool = False, again: bool = False
    ) -> None:
        wanted = dict.fromkeys(topics)
        known = {one.topic: one for one in self.subscriptions_of(endpoint.id)}
        writes: dict[str, Subscription] = {}
        for topic in wanted:
            old = known.get(topic)
            if old is None:
                name = subscription_id(endpoint.id, topic)
                old = Subscription(name, endpoint.feed, endpoint.partner, endpoint.id, topic, "pending")
                writes[name] = self._renewed(old, "pending")
            elif moved or old.state != "confirmed":
                writes[old.id] = self._renewed(old, "pending")
            elif again:
                writes[old.id] = self._renewed(old, "confirmed")
        for topic, old in known.items():
            if topic not in wanted and old.state != "ended":
                writes[old.id] = self._renewed(old, "ended", to_tell=old.state == "confirmed")
        if writes:
            encoded = {key: msgspec.json.encode(value) for key, value in writes.items()}
            await self._kv.put_many(SUBSCRIPTIONS, encoded)

    def _renewed(self, old: Subscription, state: str, *, to_tell: bool = True) -> Subscription:
        now = self._clock.wall_ns()
        return msgspec.structs.replace(
            old,
            state=state,
            token=self._entropy(_TOKEN_BYTES).hex(),
            issued_at=now,
            expires_at=now + TOKEN_SECONDS * 10**9,
            to_tell=to_tell,
            number=old.number + 1,
        )

    # the store's watch

    def _watched(self, bucket: str, key: str, value: bytes | None) -> None:
        if bucket in (ENDPOINTS, SUBSCRIPTIONS):
            if self._loading is not None:
                self._loading.add((bucket, key))
            self._apply(bucket, key, value)

    def _apply(self, bucket: str, key: str, value: bytes | None) -> None:
        if bucket == ENDPOINTS:
            self._endpoints.pop(key, None)
            if value is not None:
                self._endpoints[key] = msgspec.json.decode(value, type=Endpoint)
            self.changes.call("endpoint", key)
            return
        old = self._subscriptions.pop(key, None)
        if old is not None:
            self._by_key.pop((old.feed, old.partner, old.endpoint, old.topic), None)
            self._by_token.pop((old.feed, old.token), None)
            self._untold.pop(key, None)
            if old.endpoint:
                self._by_endpoint[old.endpoint].pop(key)
                if not self._by_endpoint[old.endpoint]:
                    del self._by_endpoint[old.endpoint]
        if value is not None:
            new = self._subscriptions[key] = msgspec.json.decode(value, type=Subscription)
            self._by_key[new.feed, new.partner, new.endpoint, new.topic] = key
            if new.token:
                self._by_token[new.feed, new.token] = key
            if new.endpoint:
                self._by_endpoint.setdefault(new.endpoint, {})[key] = None
                if new.to_tell:
                    self._untold[key] = None
        self.changes.call("subscription", key)
