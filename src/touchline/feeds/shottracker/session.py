"""Live Data V2, server role: the WebSocket at ``/live/v2/games`` (live-data and examples pages; sheet §3, §5, §8).

The query string is the subscription: ``token`` admits, ``source`` (may repeat) narrows, ``last_seq`` resumes. There is
no subscribe message; of what a client sends, only ``{"action":"ping"}`` means anything. Owns the session and its
refusals; frames are made in ``frames``, records come from the shell.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from uuid import UUID

import msgspec

from touchline.feeds.base import (
    Accept,
    Answer,
    Ask,
    Close,
    EndReason,
    FindMember,
    FindStream,
    FindToken,
    Follow,
    Identify,
    Instant,
    Member,
    Refuse,
    StreamView,
    Token,
    Wish,
)
from touchline.feeds.shottracker import errors
from touchline.feeds.shottracker.frames import GAME_STATS, GameSelector, Variant
from touchline.feeds.shottracker.sources import FEED_NAME, SOURCES
from touchline.model import MAX_OFFSET
from touchline.wire.http import HttpRequest, every

PATH: Final = "/live/v2/games"
IDLE_SECONDS: Final = 60.0
TOKEN_PURPOSE: Final = "subscribe"  # noqa: S105 - a purpose, not a token
ENVELOPE_OPTION: Final = "envelope"

BAD_TOKEN: Final = "Invalid or expired subscription token"  # noqa: S105
NO_SOURCE: Final = "None of the requested sources is known"
BAD_LAST_SEQ: Final = "last_seq must be a whole number, 0 or above"
LAST_SEQ_GONE: Final = "last_seq is older than what is kept; catch up by REST and start without last_seq"
STOPPING: Final = "The server is stopping, come back"

# Close codes are NOT DOCUMENTED; OUR CHOICE, sheet §8.3. A client reconnects on any but 1000 and 1008. IDLE: the peer
# is presumed gone, 1001 invites it back. GAP: 1013 makes it come back with last_seq, which the 410 then answers.
_CLOSE: Final = {
    EndReason.FINISHED: (1000, "game over"),
    EndReason.SHUTDOWN: (1001, "server going away"),
    EndReason.REVOKED: (1008, "token revoked"),
    EndReason.STALLED: (1013, "no progress, resume with last_seq"),
    EndReason.IDLE: (1001, "idle"),
    EndReason.GAP: (1013, "records are gone, resume with last_seq"),
    EndReason.FAULT: (1011, "server fault"),
}
_TOKEN, _MEMBER, _STREAM = 1, 2, 3
_LAST_SEQ: Final = re.compile(r"[0-9]{1,20}\Z")
_MAX_TOKEN_CHARS: Final = 256
_MAX_PING_BYTES: Final = 4096
_MAX_PONGS: Final = 64
_PONG: Final = '{"action":"pong"}'


class _Action(msgspec.Struct):
    action: str = ""


_ACTION: Final = msgspec.json.Decoder(_Action)


class LiveSession:
    """Sans-I/O server side of one subscriber (see ``feeds.base.ServerSession``).

    Asks for the token, then for its partner, then for the game's stream; then accepts or refuses.
    """

    def __init__(self, request: HttpRequest, entropy: Callable[[int], bytes], now: Instant) -> None:
        del now
        self._entropy = entropy
        self._wishes: list[Wish] = []
        self._messages: list[str | bytes] = []
        self._token: Token | None = None
        self._variant = Variant()
        self._game_stats = request.param("broadcast_summary_level") == GAME_STATS
        self._last_seq = 0
        self._sources: frozenset[str] | None = None
        self._waiting_for = 0
        self._ended = False
        self._begin(request)

    def _begin(self, request: HttpRequest) -> None:
        token = request.param("token") or ""
        if not 0 < len(token) <= _MAX_TOKEN_CHARS:
            self._refuse(401, BAD_TOKEN, failed_login=bool(token))
            return
        last_seq = request.param("last_seq")
        if last_seq is not None:
            if _LAST_SEQ.match(last_seq) is None:
                self._refuse(400, BAD_LAST_SEQ)
                return
            # Beyond the newest means to wait for newer (sheet §5); beyond all numbers is the same wait.
            self._last_seq = min(int(last_seq), MAX_OFFSET)
        asked = frozenset(every(request.query, "source")) - {""}
        if asked:
            # Unknown names are ignored, unless nothing is left (sheet §8.2, OUR CHOICE).
            self._sources = frozenset(asked & SOURCES.keys())
            if not self._sources:
                self._refuse(400, NO_SOURCE)
                return
        self._ask(_TOKEN, FindToken(token))

    def _ask(self, number: int, question: FindToken | FindMember | FindStream) -> None:
        self._waiting_for = number
        self._wishes.append(Ask(number, question))

    def _refuse(self, status: int, message: str, *, failed_login: bool = False) -> None:
        self._waiting_for = 0
        self._ended = True
        request_id = str(UUID(bytes=self._entropy(16), version=4))
        self._wishes.append(Refuse(errors.refusal(status, message, request_id), failed_login=failed_login))

    def told(self, number: int, answer: Answer, now: Instant) -> None:
        """Token, then partner, then stream; an answer that was not asked for is ignored."""
        del now
        if number != self._waiting_for or self._ended:
            return
        if number == _TOKEN:
            self._told_token(answer)
        elif number == _MEMBER:
            self._told_member(answer)
        else:
            self._told_stream(answer)

    def _told_token(self, answer: Answer) -> None:
        # A token of another feed or purpose is as bad as none; which of them it was is nobody's business.
        if not isinstance(answer, Token) or answer.feed != FEED_NAME or answer.purpose != TOKEN_PURPOSE:
            self._refuse(401, BAD_TOKEN, failed_login=True)
            return
        self._token = answer
        self._ask(_MEMBER, FindMember(FEED_NAME, partner=answer.partner))

    def _told_member(self, answer: Answer) -> None:
        assert self._token is not None
        if not isinstance(answer, Member):
            self._refuse(401, BAD_TOKEN, failed_login=True)
            return
        games, sources = answer.grants.get("event_id"), answer.grants.get("source")
        if games and self._token.subject not in games:
            self._refuse(403, errors.ACCESS_DENIED)
            return
        if sources:
            self._sources = sources if self._sources is None else self._sources & sources
            if not self._sources:
                self._refuse(403, errors.ACCESS_DENIED)
                return
        self._variant = Variant(answer.options.get(ENVELOPE_OPTION) == "event", self._game_stats)
        # 0 equals absent: from the beginning of the event, of a looping one from the current loop (sheet §8.7).
        self._ask(_STREAM, FindStream(FEED_NAME, self._token.subject, self._last_seq or None))

    def _told_stream(self, answer: Answer) -> None:
        assert self._token is not None
        view = answer if isinstance(answer, StreamView) else StreamView(exists=False)
        if view.gone:
            self._refuse(410, LAST_SEQ_GONE)
            return
        self._waiting_for = 0
        # The shell goes on after ``view.after``; only beyond the newest must the number itself hold records back, and
        # only then may it stand in the selector, because sessions of equal selectors share all work.
        held_back = self._last_seq if self._last_seq > view.last_seq else 0
        selector = GameSelector(self._token.subject, self._sources, held_back, self._variant)
        # A game that has not begun is accepted too: pings are answered, data come when it starts (sheet §8.6).
        self._wishes += [
            Accept(),
            Identify(self._token.partner, token=self._token.value),
            Follow(1, selector, view.after, finite=view.over),
        ]

    def receive_data(self, data: str | bytes, now: Instant) -> None:
        """A ping gets its pong; anything else is ignored, whatever it is (sheet §8.5)."""
        del now
        if self._ended or isinstance(data, bytes) or len(data) > _MAX_PING_BYTES:
            return
        try:
            action = _ACTION.decode(data).action
        except (msgspec.MsgspecError, RecursionError, ValueError):
            return
        if action == "ping" and len(self._messages) < _MAX_PONGS:
            self._messages.append(_PONG)

    def end(self, reason: EndReason, now: Instant) -> None:
        """Close with the code of the reason; before the handshake is answered, refuse it instead."""
        del now
        if self._ended:
            return
        if self._waiting_for:
            self._refuse(503 if reason is EndReason.SHUTDOWN else 500, STOPPING)
            return
        self._ended = True
        self._wishes.append(Close(*_CLOSE[reason]))

    def events_received(self) -> list[Wish]:
        """The wishes since the last call."""
        wishes, self._wishes = self._wishes, []
        return wishes

    def data_to_send(self) -> list[str | bytes]:
        """The messages since the last call."""
        messages, self._messages = self._messages, []
        return messages

    def deadline(self) -> float | None:
        """No timers of its own: the shell drops a line that is idle for ``IDLE_SECONDS``."""
        return None

    def tick(self, now: Instant) -> None:
        """Nothing is due."""

    def drained(self, now: Instant) -> None:
        """Nothing waited for it."""
