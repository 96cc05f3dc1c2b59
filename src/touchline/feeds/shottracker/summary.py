"""What is read out of a folded game: the broadcast summary, the snapshot for native readers, box-score rows.

Pure functions of a ``GameState``. The summary's shape is OUR CHOICE (sheet §4.4): home and away with score, totals,
points by period, zones and players.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw

from touchline.feeds.shottracker import messages
from touchline.feeds.shottracker.game import SCORES, GameState, PlayerLine, Row, TeamState, plain, text
from touchline.feeds.shottracker.messages import Number, id_text

_SHOT: Final = msgspec.json.Decoder(messages.Shot)
_CLOCK: Final = msgspec.json.Decoder(messages.GameClock)
_LINEUP: Final = msgspec.json.Decoder(messages.Lineup)
_GAME: Final = msgspec.json.Decoder(messages.Game)


def encode(state: GameState) -> bytes:
    """The broadcast summary of a game as JSON."""
    return msgspec.json.encode(summary(state))


def summary(state: GameState) -> messages.BroadcastSummary:
    """The broadcast summary of a game, made from the fold."""
    clock, row = game_clock(state), game_row(state)
    home, away = state.sides()
    zones = zone_tallies(state)
    return messages.BroadcastSummary(
        event_id=state.subject,
        occurred_at=state.occurred_at,
        status=state.status,
        period=state.period or None,
        game_clock=text(clock.game_clock) or None,
        shot_clock=text(clock.shot_clock) or None,
        home=_side(home, row.home_team_name, zones),
        away=_side(away, row.away_team_name, zones),
    )


def _side(
    team: TeamState | None, name: object, zones: Mapping[str, list[messages.ZoneTally]]
) -> messages.SummaryTeam | None:
    if team is None:
        return None
    return messages.SummaryTeam(
        team_id=team.team_id,
        name=text(name) or UNSET,
        score=team.score,
        stats=totals(team),
        periods=[messages.PeriodScore(period=period, score=plain(points)) for period, points in team.periods.items()],
        zones=zones.get(id_text(team.team_id), []),
        players=[
            messages.SummaryPlayer(player_id=line.player_id, stats=own_values(line))
            for line in team.players.values()
            if line.player_id is not None
        ],
    )


def values(line: PlayerLine) -> dict[str, Number]:
    """A line's current totals by stat name."""
    return {name: stat.value for name, stat in line.stats.items()}


def own_values(line: PlayerLine) -> dict[str, Number]:
    """The same without the teams' scores at the time of the player's last points."""
    return {name: value for name, value in values(line).items() if name not in SCORES}


def totals(team: TeamState) -> dict[str, Number]:
    """A team's totals: the sum of its players' lines, over which the team's own line (if it has one) wins."""
    found: dict[str, Number] = {}
    for line in team.players.values():
        if line.player_id is not None:
            for name, value in own_values(line).items():
                found[name] = plain(found.get(name, 0) + value)
    own = team.players.get("")
    if own is not None:
        found |= own_values(own)
    return found


def zone_tallies(state: GameState) -> dict[str, list[messages.ZoneTally]]:
    """Field goals per team (id as text) and zone, without the shots that were taken back."""
    counts: dict[str, dict[Number, list[int]]] = {}
    for shot in shots(state.shots.values()):
        zone = shot.zone
        if isinstance(zone, int | float) and shot.status != messages.DELETED:
            tally = counts.setdefault(id_text(shot.team_id), {}).setdefault(zone, [0, 0])
            tally[0] += 1
            tally[1] += shot.is_make is True
    return {
        team: [
            messages.ZoneTally(zone=zone, attempts=attempts, makes=makes)
            for zone, (attempts, makes) in sorted(zones.items())
        ]
        for team, zones in counts.items()
    }


def shots(rows: Iterable[Row]) -> Iterable[messages.Shot]:
    """The shots of rows, typed."""
    return (_SHOT.decode(row.data) for row in rows)


def game_row(state: GameState) -> messages.Game:
    """The schedule's row of a game, empty when none was published."""
    return messages.Game() if state.game is None else _GAME.decode(state.game)


def game_clock(state: GameState) -> messages.GameClock:
    """The clock as last published, empty when none was."""
    return messages.GameClock() if state.clock is None else _CLOCK.decode(state.clock)


def lineups_at(state: GameState, moment: int | None = None) -> list[Raw]:
    """The line-up of each team at a moment (epoch ms), or now, as published."""
    found: dict[str, Raw] = {}
    for row in state.lineups.values():
        if moment is None or row.occurred_at <= moment:
            found[id_text(_LINEUP.decode(row.data).team_id)] = Raw(row.data)
    return list(found.values())


def stat_rows(state: GameState, session: str | None = None) -> list[dict[str, Any]]:
    """The box score as rows of the ``boxscorestatsv2`` shape, one a player: current totals, or what a session added."""
    return [
        {
            "occurred_at": line.occurred_at,
            "team_id": team.team_id,
            "player_id": line.player_id,
            "stats": values(line) if session is None else line.sessions[session],
            "classification": line.classification,
            "version": line.version,
        }
        for team in state.teams.values()
        for line in team.players.values()
        if session is None or session in line.sessions
    ]


def raws(rows: Iterable[Row]) -> list[Raw]:
    """Published bodies as they were."""
    return [Raw(row.data) for row in rows]


def view(state: GameState) -> bytes:
    """The whole current state of a game as JSON."""
    whole: dict[str, Any] = {
        "event_id": state.subject,
        "status": state.status,
        "period": state.period or None,
        "first_seq": state.first_seq,
        "seq": state.seq,
        "started_at": state.started_at,
        "ended_at": state.ended_at,
        "summary": summary(state) if state.summary is None else Raw(state.summary),
        "game": None if state.game is None else Raw(state.game),
        "clock": None if state.clock is None else Raw(state.clock),
        "sessions": list(state.sessions.values()),
        "stats": stat_rows(state),
        "shots": raws(state.shots.values()),
        "playbyplay": raws(state.plays.values()),
        "possessions": raws(state.possessions.values()),
        "lineups": lineups_at(state),
        "markers": raws(state.markers.values()),
    }
    return msgspec.json.encode(whole)
