"""Logins: a refresh token that lives three days and an access token that lives twenty minutes are a session (sheet §1).

A partner has at most twenty sessions. Each stands in a numbered slot, whose two tokens the directory keeps once, so
that any node sees the same slots and two logins never get one slot. A login takes a free slot; when there is none it
takes over one whose access token has run out, and the refresh token of that one ends. OUR CHOICE: a refresh hands out
the same access token with its life begun anew, so that requests on their way do not fail.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from touchline.errors import NotFound
from touchline.feeds.base import Form, Ports, Token
from touchline.feeds.prophetx.channels import FEED_NAME
from touchline.feeds.prophetx.errors import TOO_MANY_SESSIONS, UNAUTHORIZED, Refused

ACCESS_SECONDS: Final = 20 * 60
REFRESH_SECONDS: Final = 3 * 24 * 3600
MAX_SESSIONS: Final = 20
ACCESS: Final = "access"
REFRESH: Final = "refresh"

_SECOND: Final = 1_000_000_000


class Tokens:
    """See the module docstring."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def find(self, value: str, purpose: str) -> Token | None:
        """A token of this feed that is good for the purpose."""
        token = self._ports.directory.find_token(value) if value else None
        return token if token is not None and (token.feed, token.purpose) == (FEED_NAME, purpose) else None

    async def login(self, partner: str) -> tuple[Token, Token]:
        """The access and refresh tokens of a new session. Raises Refused when there are too many."""
        for slot in range(MAX_SESSIONS):
            refresh, is_new = await self._issue(partner, REFRESH, slot, REFRESH_SECONDS)
            if is_new:
                access, is_ours = await self._issue(partner, ACCESS, slot, ACCESS_SECONDS)
                if is_ours:
                    return access, refresh
        for slot in range(MAX_SESSIONS):
            access, is_ours = await self._issue(partner, ACCESS, slot, ACCESS_SECONDS)
            if is_ours:
                old, is_new = await self._issue(partner, REFRESH, slot, REFRESH_SECONDS)
                if not is_new:
                    await self._end(old)
                    old, _ = await self._issue(partner, REFRESH, slot, REFRESH_SECONDS)
                return access, old
        raise Refused(TOO_MANY_SESSIONS, f"There are {MAX_SESSIONS} sessions already; refresh one of them")

    async def refresh(self, value: str) -> tuple[Token, Token]:
        """The access token of the session with that refresh token, good for another twenty minutes. Raises Refused."""
        refresh = self.find(value, REFRESH)
        if refresh is None:
            raise Refused(UNAUTHORIZED, "The refresh token is wrong or expired; log in again")
        access, is_new = await self._issue(refresh.partner, ACCESS, int(refresh.subject), ACCESS_SECONDS)
        if not is_new:
            expires_at = self._ports.now().wall_ns + ACCESS_SECONDS * _SECOND
            await self._ports.directory.extend_token(access.value, expires_at)
            access = Token(access.value, access.feed, access.partner, access.purpose, access.subject, expires_at)
        return access, refresh

    async def _issue(self, partner: str, purpose: str, slot: int, seconds: int) -> tuple[Token, bool]:
        """The token of a slot, and whether it is new: then it ends at the very instant that was asked for.

        The instant is made unlike any other by random nanoseconds within its second.
        """
        whole = self._ports.now().wall_ns // _SECOND + seconds
        expires_at = whole * _SECOND + UUID(self._ports.new_id()).int % _SECOND
        token = await self._ports.directory.issue_token(
            FEED_NAME, partner, purpose, str(slot), form=Form.TOKEN, expires_at=expires_at
        )
        return token, token.expires_at == expires_at

    async def _end(self, token: Token) -> None:
        try:
            await self._ports.directory.extend_token(token.value, self._ports.now().wall_ns)
        except NotFound:
            return  # it ended by itself meanwhile
