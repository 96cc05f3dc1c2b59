"""Partners and keys: ``/hub/v1/partners`` and ``/hub/v1/keys``, for admins.

A credential is shown once, when it is made. Removing or suspending a partner, or revoking a key, ends its sockets and
tokens at once (``sessions`` looks again whenever the directory changes).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final, Literal

import msgspec

from touchline.feeds.base import Answered, Feed, Operation, Parameter
from touchline.log.entries import Key, Partner
from touchline.server.http.access import admin_operation, refusal
from touchline.server.hub import Hub
from touchline.wire import rfc3339
from touchline.wire.http import HttpRequest, HttpResponse, json_response

_PARTNERS: Final = "/hub/v1/partners"
_KEYS: Final = "/hub/v1/keys"


class NewPartner(msgspec.Struct, forbid_unknown_fields=True):
    """A partner's access to one feed."""

    name: str
    feed: str
    grants: dict[str, list[str]] = {}
    options: dict[str, str] = {}


class Rights(msgspec.Struct, forbid_unknown_fields=True):
    """What a partner may receive of a feed; replaces what was there. Options stay when absent."""

    grants: dict[str, list[str]] = {}
    options: dict[str, str] | None = None


class Minted(msgspec.Struct):
    """Credentials, shown once."""

    partner: str
    feed: str
    credentials: dict[str, str]


class NewKey(msgspec.Struct, forbid_unknown_fields=True):
    """A key's role and scope; empty lists do not narrow. A source ending in * takes every source that begins so."""

    role: Literal["admin", "publisher"]
    name: str = ""
    feeds: list[str] = []
    sources: list[str] = []


class Admin:
    """The administrative operations of a hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def operations(self) -> list[Operation]:
        """Their declarations."""
        name = Parameter("name", "path", "the partner", required=True)
        feed = Parameter("feed", "path", "the feed", required=True)
        key = Parameter("id", "path", "the key's id", required=True)
        partner = Answered("the partner", {"type": "object"})
        minted = Answered("credentials, shown this once", Minted)
        one = _PARTNERS + "/{name}"
        declare = partial(admin_operation, self._hub)
        return [
            declare("POST", _PARTNERS, "add_partner", "Give a partner access to a feed", self._add, NewPartner,
                    answers={201: minted, 409: refusal("the partner has this feed already")}),
            declare("GET", _PARTNERS, "list_partners", "List partners", self._list,
                    answers={200: Answered("all partners", {"type": "object"})}),
            declare("GET", one, "show_partner", "Show a partner", self._show, parameters=(name,),
                    answers={200: partner}),
            declare("DELETE", one, "remove_partner", "Remove a partner for good", self._remove,
                    parameters=(name,), answers={204: Answered("removed")}),
            declare("POST", one + "/suspend", "suspend_partner", "Suspend a partner", self._suspend,
                    parameters=(name,), answers={200: partner}),
            declare("POST", one + "/resume", "resume_partner", "End a suspension", self._resume,
                    parameters=(name,), answers={200: partner}),
            declare("PUT", one + "/feeds/{feed}", "grant", "Set grants and options", self._grant, Rights,
                    parameters=(name, feed), answers={200: partner}),
            declare("DELETE", one + "/feeds/{feed}", "remove_feed", "Take a feed from a partner",
                    self._remove_feed, parameters=(name, feed), answers={204: Answered("removed")}),
            declare("POST", one + "/feeds/{feed}/rotate", "rotate", "Replace a partner's credentials",
                    self._rotate, parameters=(name, feed), answers={200: minted}),
            declare("POST", _KEYS, "create_key", "Create a key", self._create_key, NewKey,
                    answers={201: Answered("the key, shown this once", {"type": "object"}),
                             409: refusal("an unrevoked key has this name")}),
            declare("GET", _KEYS, "list_keys", "List keys", self._list_keys,
                    answers={200: Answered("all keys", {"type": "object"})}),
            declare("DELETE", _KEYS + "/{id}", "revoke_key", "Revoke a key", self._revoke_key,
                    parameters=(key,), answers={204: Answered("revoked")}),
        ]  # fmt: skip

    def _feed(self, name: str, grants: Mapping[str, list[str]], options: Mapping[str, str]) -> Feed:
        """The feed of that name, when the grants and options are its own. Raises ValueError."""
        feed = self._hub.feeds.get(name)
        if feed is None:
            raise ValueError(f"unknown feed {name[:64]!r}; feeds are {', '.join(self._hub.feeds)}")
        for key, values in grants.items():
            if key not in feed.grant_keys:
                known = ", ".join(sorted(feed.grant_keys))
                raise ValueError(f"unknown grant key {key[:64]!r} for {name}; it knows {known}")
            if not values or any(not value for value in values):
                raise ValueError(f"grant {key} needs at least one value, none of them empty")
        for key, value in options.items():
            if key not in feed.options:
                known = ", ".join(sorted(feed.options)) or "none"
                raise ValueError(f"unknown option {key[:64]!r} for {name}; it knows {known}")
            if feed.options[key] and value not in feed.options[key]:
                raise ValueError(f"option {key} may be {' or '.join(feed.options[key])}")
        if feed.check_options is not None:
            feed.check_options(options)
        return feed

    async def _add(self, request: HttpRequest) -> HttpResponse:
        new = msgspec.json.decode(request.body, type=NewPartner)
        feed = self._feed(new.feed, new.grants, new.options)
        if not feed.credentials:
            raise ValueError(f"{new.feed} is not served yet: events are stored and read natively")
        credentials = await self._hub.directory.add_member(
            new.name, feed.name, feed.credentials, new.grants, new.options
        )
        return json_response(Minted(new.name, feed.name, credentials), 201)

    async def _list(self, request: HttpRequest) -> HttpResponse:
        del request
        return json_response({"partners": [self._shown(partner) for partner in self._hub.directory.partners()]})

    async def _show(self, request: HttpRequest) -> HttpResponse:
        return self._answer(request)

    def _answer(self, request: HttpRequest) -> HttpResponse:
        return json_response(self._shown(self._hub.directory.partner(request.path_params["name"])))

    def _shown(self, partner: Partner) -> dict[str, Any]:
        """A partner without its secrets: of the credentials only those that requests name."""
        feeds: dict[str, Any] = {}
        for name, membership in sorted(partner.members.items()):
            fields = self._hub.feeds[name].credentials if name in self._hub.feeds else ()
            public = {field.name for field in fields if field.lookup and field.keep.value == "plain"}
            feeds[name] = {
                "grants": membership.grants,
                "options": membership.options,
                "credentials": {key: value for key, value in membership.credentials.items() if key in public},
            }
        return {
            "name": partner.name,
            "suspended": partner.suspended,
            "created_at": rfc3339.encode(partner.created_at),
            "feeds": feeds,
        }

    async def _remove(self, request: HttpRequest) -> HttpResponse:
        await self._hub.directory.remove(request.path_params["name"])
        await self._hub.endpoints.forget_the_dead()
        return HttpResponse(204, b"", ())

    async def _remove_feed(self, request: HttpRequest) -> HttpResponse:
        await self._hub.directory.remove_member(request.path_params["name"], request.path_params["feed"])
        await self._hub.endpoints.forget_the_dead()
        return HttpResponse(204, b"", ())

    async def _suspend(self, request: HttpRequest) -> HttpResponse:
        await self._hub.directory.suspend(request.path_params["name"])
        return self._answer(request)

    async def _resume(self, request: HttpRequest) -> HttpResponse:
        await self._hub.directory.resume(request.path_params["name"])
        return self._answer(request)

    async def _grant(self, request: HttpRequest) -> HttpResponse:
        rights = msgspec.json.decode(request.body, type=Rights)
        feed = self._feed(request.path_params["feed"], rights.grants, rights.options or {})
        await self._hub.directory.set_grants(request.path_params["name"], feed.name, rights.grants, rights.options)
        return self._answer(request)

    async def _rotate(self, request: HttpRequest) -> HttpResponse:
        name = request.path_params["name"]
        feed = self._feed(request.path_params["feed"], {}, {})
        credentials = await self._hub.directory.rotate(name, feed.name, feed.credentials)
        return json_response(Minted(name, feed.name, credentials))

    async def _create_key(self, request: HttpRequest) -> HttpResponse:
        new = msgspec.json.decode(request.body, type=NewKey)
        unknown = [name for name in new.feeds if name not in self._hub.feeds]
        if unknown:
            raise ValueError(f"unknown feed {unknown[0][:64]!r}; feeds are {', '.join(self._hub.feeds)}")
        if new.role == "admin" and (new.feeds or new.sources):
            raise ValueError("an admin key has no scope; feeds and sources narrow publisher keys")
        key, plain = await self._hub.directory.create_key(new.role, new.name, new.feeds, new.sources)
        return json_response({**_key(key), "key": plain}, 201)

    async def _list_keys(self, request: HttpRequest) -> HttpResponse:
        del request
        return json_response({"keys": [_key(key) for key in self._hub.directory.keys()]})  # noqa: SIM118

    async def _revoke_key(self, request: HttpRequest) -> HttpResponse:
        await self._hub.directory.revoke_key(request.path_params["id"])
        return HttpResponse(204, b"", ())


def _key(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "role": key.role,
        "name": key.name,
        "feeds": list(key.feeds),
        "sources": list(key.sources),
        "created_at": rfc3339.encode(key.created_at),
        "revoked_at": None if key.revoked_at is None else rfc3339.encode(key.revoked_at),
    }
