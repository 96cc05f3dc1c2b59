"""What a consumer is told, and the base address that its requests go to."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from touchline.errors import ConfigError


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Where, who, and which tournaments."""

    access_key: Annotated[str, Meta(description="the access key of the pair")]
    secret_key: Annotated[str, Meta(description="the secret key of the pair")]
    url: Annotated[str, Meta(description="base URL of the hub or the provider")] = "http://127.0.0.1:8080"
    tournaments: Annotated[
        tuple[str, ...], Meta(description="only this tournament id; all when absent", extra={"option": "tournament"})
    ] = ()
    pushes_only: Annotated[
        bool, Meta(description="hand out pushes alone: read no state by REST, neither at first nor after a reconnect")
    ] = False

    def __repr__(self) -> str:
        return f"Settings(url={self.url!r}, tournaments={self.tournaments!r}, access_key=***, secret_key=***)"


def find_base(settings: Settings) -> str:
    """The address under which all calls stand, with ``/partner`` and without a slash at its end.

    Raises:
        ConfigError: the URL is no http(s) base URL, or a key is empty.
    """
    parts = urlsplit(settings.url.rstrip("/"))
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username is not None:
        raise ConfigError(f"not a base URL: {settings.url!r}; give one such as https://cash.api.prophetx.co")
    for name in ("access_key", "secret_key"):
        if not getattr(settings, name):
            raise ConfigError(f"{name} is empty; a pair of keys is made in the provider's web page or by 'partner add'")
    for tournament in settings.tournaments:
        # They go into a header.
        if not (tournament.isascii() and tournament.isdigit()):
            raise ConfigError(f"not a tournament id: {tournament!r}; get_tournaments lists those there are")
    return f"{parts.scheme}://{parts.netloc}{parts.path.removesuffix('/partner')}/partner"
