"""REST: a team's events and a game with their sessions, teams and rosters, line-ups (sheet §2.4, §2.5, §2.9)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Raw

from touchline.feeds.base import Member, Ports
from touchline.feeds.shottracker import errors, messages, summary
from touchline.feeds.shottracker.access import (
    Access,
    Game,
    Refused,
    is_true,
    moment,
    moments,
    need_source,
    need_team,
)
from touchline.feeds.shottracker.answers import EventNode, EventsBody, LineupsBody, TeamsBody, TotalsLinks
from touchline.feeds.shottracker.game import Session, milliseconds, text
from touchline.feeds.shottracker.messages import GAME_ROUND, id_text
from touchline.feeds.shottracker.rest_games import OWN_SYSTEM
from touchline.feeds.shottracker.sources import FEED_NAME, TEAM_TYPE
from touchline.model import Record
from touchline.wire.http import HttpRequest, HttpResponse, json_response

LOCATION_WINDOW_MS: Final = 30 * 60 * 1000
"""The longest stretch of locations that one request gives (sheet §2.8); a session links to each."""
MAX_LOCATION_LINKS: Final = 24

_MEMBERS: Final = msgspec.json.Decoder(dict[str, Raw])
_RESULTS: Final = msgspec.json.Decoder(list[dict[str, Raw]])
_TEAM: Final = msgspec.json.Decoder(messages.Team)


class EventsApi:
    """Handlers of events, teams and line-ups."""

    def __init__(self, ports: Ports, access: Access) -> None:
        self._ports, self._access = ports, access

    async def team_events(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``GET /v1/data/teams/{team_id}/events``. Workouts are not in this feed: there are games alone."""
        team_id = request.path_params["team_id"]
        need_team(member, team_id)
        start, end = moments(request)
        if is_true(request, "workoutsonly"):
            return json_response(EventsBody([]))
        return json_response(
            EventsBody(
                [
                    self._node(game)
                    for game in await self._access.games(member)
                    if team_id in game.team_ids and _touches(game, start, end)
                ]
            )
        )

    async def game(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``GET /v1/data/games/{event_id}``."""
        event_id = request.path_params["event_id"]
        return json_response(self._node(await self._access.game(member, event_id, missing=errors.GAME_NOT_FOUND)))

    def _node(self, game: Game) -> EventNode:
        base = f"{self._ports.base_url.rstrip('/')}/v1/data/stats/games/{quote(game.event_id, safe='')}"
        row, sessions = game.row, game.sessions()
        home, away = text(row.home_team_name), text(row.away_team_name)
        name = text(row.name) or (f"{home} vs {away}" if home and away else None)
        published = _published_results(game)
        return EventNode(
            id=game.event_id,
            name=name,
            results=[self._result(session, published.get(id_text(session.id), {})) for session in sessions],
            game_type=text(row.game_type) or _game_type(sessions),
            totals=TotalsLinks(f"{base}/stats", f"{base}/details", f"{base}/shots", f"{base}/possessions"),
        )

    def _result(self, session: Session, published: dict[str, Raw]) -> dict[str, Raw]:
        """A session: what was published of it wins over what the fold knows, links are filled in."""
        root = f"{self._ports.base_url.rstrip('/')}/v1/data"
        base = f"{root}/stats/{quote(str(session.id), safe='')}"
        known: dict[str, object] = {
            "id": session.id,
            "name": None,
            "type": GAME_ROUND,
            "period": session.period or None,
            "started_at": session.started_at,
            "ended_at": session.ended_at,
            "_stats": f"{base}/stats",
            "_stats_details": f"{base}/stats/details",
            "_shots": f"{base}/shots",
            "_locations": [
                f"{root}/sensors/locations?{urlencode({'id': session.id, 'from': start, 'to': end})}"
                for start, end in self._windows(session)
            ],
            "_possessions": f"{base}/possessions",
            "_possessions_summary": f"{base}/possessions/summary",
        }
        return {name: Raw(msgspec.json.encode(value)) for name, value in known.items()} | published

    def _windows(self, session: Session) -> list[tuple[int, int]]:
        """A session's time in stretches that the locations call takes; one that still runs is cut at now."""
        if session.started_at is None:
            return []
        end = session.ended_at or self._ports.now().wall_ns // 1_000_000
        starts = range(session.started_at, max(end, session.started_at + 1), LOCATION_WINDOW_MS)
        return [(start, min(start + LOCATION_WINDOW_MS, end)) for start in starts[:MAX_LOCATION_LINKS]]

    async def teams(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``GET /v1/data/teams``."""
        del request
        granted = member.grants.get("team_id")
        shown = await self._shown_teams(member)
        rows = [
            {name: value for name, value in _MEMBERS.decode(record.event.data).items() if name != "players"}
            for record in await self._ports.log.documents(FEED_NAME, TEAM_TYPE)
            if (not granted or record.event.subject in granted) and (shown is None or record.event.subject in shown)
        ]
        return json_response(TeamsBody(rows))

    async def roster(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``GET /v1/data/teams/{team_id},{reference}``; the comma is in the published path."""
        team_id, _, reference = request.path_params["team_id"].partition(",")
        reference = request.path_params.get("reference", reference) or OWN_SYSTEM
        record = await self._team(team_id, reference)
        if record is None:
            raise Refused(404, errors.INVALID_ID)
        need_team(member, record.event.subject)
        shown = await self._shown_teams(member)
        if shown is not None and record.event.subject not in shown:
            raise Refused(403, errors.ACCESS_DENIED)
        return HttpResponse(200, record.event.data)

    async def _team(self, team_id: str, reference: str) -> Record | None:
        if reference == OWN_SYSTEM:
            return await self._ports.log.document(FEED_NAME, TEAM_TYPE, team_id)
        for record in await self._ports.log.documents(FEED_NAME, TEAM_TYPE):
            if id_text(_TEAM.decode(record.event.data).reference_id) == team_id:
                return record
        return None

    async def _shown_teams(self, member: Member) -> frozenset[str] | None:
        """The teams that a partner narrowed to games may look up; None when it is not narrowed so."""
        if not member.grants.get("event_id"):
            return None
        return frozenset().union(*(game.team_ids for game in await self._access.games(member)))

    async def lineups(self, request: HttpRequest, member: Member) -> HttpResponse:
        """``GET /v1/data/games/{event_id}/lineups``: at ``timestamp``, or now."""
        game = await self._access.game(member, request.path_params["event_id"], missing=errors.GAME_NOT_FOUND)
        need_source(member, "lineup", errors.RESTRICTED)
        return json_response(LineupsBody(summary.lineups_at(game.state, moment(request, "timestamp"))))


def _published_results(game: Game) -> dict[str, dict[str, Raw]]:
    """The sessions that the row carries, whole, by id as text."""
    raw = None if game.data is None else _MEMBERS.decode(game.data).get("results")
    results = game.row.results
    if raw is None or not isinstance(results, list):
        return {}
    return {id_text(result.id): whole for result, whole in zip(results, _RESULTS.decode(raw), strict=True)}


def _touches(game: Game, start: int | None, end: int | None) -> bool:
    """Whether a game was, is or will be on within a range with open ends."""
    begun = game.state.started_at or milliseconds(game.row.tipoff_at) or game.state.occurred_at
    ended = max(begun, game.state.ended_at or game.state.occurred_at)
    return (end is None or begun <= end) and (start is None or ended >= start)


def _game_type(sessions: Sequence[Session]) -> str | None:
    """Halves or quarters, as the periods are called (``H1``, ``Q1``); None while there is none."""
    letters = {session.period[:1] for session in sessions}
    return "HALF" if "H" in letters else "QUARTER" if "Q" in letters else None
