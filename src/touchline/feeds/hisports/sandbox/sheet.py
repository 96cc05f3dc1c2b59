"""The scoresheet of a sandbox game while it grows, in the provider's spelling. Knows the rules of writing, not of play.

Every method is one entry of the scorekeeper; the document is the whole state after it.
"""

from __future__ import annotations

from typing import Any, Final

from touchline.feeds.hisports.sandbox.roster import Player, Team

PERIOD_SECONDS: Final = {"1": 1200, "2": 1200, "3": 1200, "OT": 600}


def clock(period: str, elapsed: int) -> dict[str, Any]:
    """A moment as GameTime: the clock counts down (sheet 4.3)."""
    minutes, seconds = divmod(max(0, PERIOD_SECONDS.get(period, 0) - elapsed), 60)
    return {"period": period, "minutes": minutes, "seconds": seconds}


class Sheet:
    """See the module docstring. ``next_id`` goes on over the loops of a sandbox."""

    def __init__(self, teams: tuple[Team, Team], officials: list[dict[str, Any]], next_id: int) -> None:
        self.next_id = next_id
        self.period, self.elapsed = "1", 0
        self.document: dict[str, Any] = {
            "goals": [],
            "notes": "",
            "status": "scheduled",
            "endTime": None,
            "forfeit": None,
            "goalies": [],
            "keepers": {"timekeeper": "TIMEKEEPER SANDBOX", "scorekeeper": "SCOREKEEPER SANDBOX"},
            "lineups": {str(team.id): team.lineup() for team in teams},
            "gameTime": clock("1", 0),
            "settings": {"periods": [clock(period, 0) for period in PERIOD_SECONDS]},
            "approvals": None,
            "officials": officials,
            "penalties": [],
            "startTime": None,
        }

    def _id(self) -> int:
        self.next_id += 1
        return self.next_id

    def _now(self) -> dict[str, Any]:
        """The clock's time for an entry, which ``gameTime`` follows."""
        now = clock(self.period, self.elapsed)
        self.document["gameTime"] = dict(now)
        return now

    def approve_lineup(self, team: Team, signature: str, timestamp: str) -> None:
        """The coach signs."""
        lineup = self.document["lineups"][str(team.id)]
        approval = {"teamId": team.id, "signature": signature, "timestamp": timestamp}
        lineup["approval"] = approval | {"participantId": team.coach.participant_id}

    def start(self, timestamp: str) -> None:
        """The puck is dropped."""
        self.document |= {"status": "started", "startTime": timestamp}

    def goalie(self, team_id: int, player: Player | None, *, is_starter: bool = False) -> None:
        """A goalie comes on, or (None) leaves an empty net. Starters have no id, later changes no flag (seed)."""
        entry: dict[str, Any] = {} if is_starter else {"id": self._id()}
        entry |= {"teamId": team_id, "gameTime": self._now()}
        if is_starter:
            entry["isStarter"] = True
        entry["onParticipantId"] = None if player is None else player.participant_id
        self.document["goalies"].append(entry)

    def goal(self, team_id: int, scorer: Player, assists: list[Player], **flags: bool) -> None:
        """A goal; ``flags`` are those of the provider that are set."""
        unset = dict.fromkeys(("isEdited", "isEmptyNet", "isPowerplay", "isPenaltyShot", "isShorthanded"), False)
        entry = {"id": self._id(), "teamId": team_id, "gameTime": self._now(), **unset, **flags}
        entry |= {"assistIds": [each.participant_id for each in assists], "participantId": scorer.participant_id}
        self.document["goals"].append(entry)

    def penalty(
        self, team_id: int, player: Player | None, served_by: Player | None, infraction: str, duration: str
    ) -> dict[str, Any]:
        """A penalty that begins now; it is handed back so that it can be ended."""
        now = self._now()
        entry: dict[str, Any] = {"id": self._id(), "teamId": team_id, "endTime": None, "isEnded": False}
        entry |= {"duration": duration, "gameTime": now, "isEdited": False, "startTime": dict(now)}
        entry["infraction"] = infraction
        if served_by is not None:
            entry["servedById"] = served_by.participant_id
        entry["participantId"] = None if player is None else player.participant_id
        self.document["penalties"].append(entry)
        return entry

    def end_penalty(self, entry: dict[str, Any]) -> None:
        """It is served, or a power-play goal ends it."""
        entry |= {"endTime": clock(self.period, self.elapsed), "isEnded": True}

    def end(self, timestamp: str, notes: str) -> None:
        """The game is over."""
        self.document |= {"status": "ended", "endTime": timestamp, "notes": notes}

    def approve(self, signatures: list[str], timestamp: str) -> None:
        """Officials and keepers sign, in that order."""
        officials = self.document["officials"]
        signed = [
            {"positions": each["positions"], "signature": mark, "participantId": each["participantId"]}
            for each, mark in zip(officials, signatures, strict=False)
        ]
        approvals: dict[str, Any] = {"officials": signed, "timestamp": timestamp}
        for keeper, mark in zip(("timekeeper", "scorekeeper"), signatures[len(officials) :], strict=True):
            approvals[keeper] = {"name": self.document["keepers"][keeper], "signature": mark}
        self.document |= {"status": "approved", "approvals": approvals}

    def edit_last_goal(self, assists: list[Player]) -> bool:
        """Somebody looked at the video: other assists. False when there is no goal of the game's own."""
        for goal in reversed(self.document["goals"]):
            if goal["gameTime"]["period"] != "SO":
                goal |= {"assistIds": [each.participant_id for each in assists], "isEdited": True}
                return True
        return False
