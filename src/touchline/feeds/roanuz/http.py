"""The REST operations of the feed, declared; the trailing slash is part of every path, as with the provider."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from touchline.feeds.base import Answered, Operation, Parameter, Ports
from touchline.feeds.roanuz.access import TOKEN_HEADER, TOKEN_PARAMETER, Access, Login, MemberHandler, TokenData
from touchline.feeds.roanuz.envelope import Envelope
from touchline.feeds.roanuz.rest_match import BallByBall, MatchApi
from touchline.feeds.roanuz.rest_subscriptions import ACCEPTED, Call, Status, SubscriptionsApi

TAG: Final = "roanuz"
MATCH: Final = "/v5/cricket/{project_key}/match/{match_key}/"

_PROJECT: Final = Parameter("project_key", "path", "the project that the token was given for", required=True)
_MATCH_KEY: Final = Parameter("match_key", "path", "the key of a match", required=True)
_OVER_KEY: Final = Parameter(
    "over_key", "path", "{team}_{innings}_{over_number} in either case, such as b_1_11, or FIRST-OVER", required=True
)
_TOKEN: Final = (
    Parameter(TOKEN_HEADER, "header", "a token of the auth call"),
    Parameter(TOKEN_PARAMETER, "query", "the same, for who cannot set headers; the header wins"),
)
_REFUSALS: Final = {
    400: "the input is wrong: method, match key or over key",
    401: "the token is missing, wrong, expired or another project's",
}
_NOT_MODIFIED: Final = Answered("what If-None-Match names is still so")

OTHER_PRODUCTS: Final = ("detail-updates-subscribe", "detail-updates-unsubscribe", "subscribe", "unsubscribe")


class _Declared:
    """Collects operations that share everything but what is given."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self.operations: list[Operation] = []

    def get(self, path: str, name: str, summary: str, handler: MemberHandler, data: Any, *more: Parameter) -> None:
        """Declare a call that reads."""
        refusals = _REFUSALS | ({404: "no ball of this over is known"} if "ball-by-ball" in path else {})
        self.operations.append(
            Operation(
                "GET",
                MATCH + path,
                f"roanuz_{name}",
                summary,
                self._access.opened(handler),
                (_PROJECT, _MATCH_KEY, *more, *_TOKEN),
                answers={200: Answered(summary, Envelope[data]), 304: _NOT_MODIFIED} | _refused(refusals),
                tag=TAG,
            )
        )

    def post(self, path: str, summary: str, handler: MemberHandler, refusals: dict[int, str], *, served: bool) -> None:
        """Declare a call that subscribes or unsubscribes."""
        answers = {ACCEPTED: Answered("done", Envelope[Status])} if served else {}
        self.operations.append(
            Operation(
                "POST",
                f"{MATCH}{path}/",
                f"roanuz_{path.replace('-', '_')}",
                summary,
                self._access.opened(handler),
                (_PROJECT, _MATCH_KEY, *_TOKEN),
                body={"required": True, "content": {"application/json": {"schema": Call}}},
                answers=answers | _refused(_REFUSALS | refusals),
                tag=TAG,
            )
        )


def _refused(meanings: dict[int, str]) -> dict[int, Answered]:
    return {status: Answered(meaning, Envelope[None]) for status, meaning in meanings.items()}


def operations(ports: Ports) -> Sequence[Operation]:
    """Every operation of the provider's REST that this hub serves."""
    access = Access(ports)
    declared = _Declared(access)
    declared.operations.append(_authentication(access))
    match, subscriptions = MatchApi(ports, access), SubscriptionsApi(ports, access)
    declared.get("", "match", "The match document", match.match, dict[str, Any])
    declared.get("ball-by-ball/", "current_over", "The newest over, ball by ball", match.current_over, BallByBall)
    declared.get("ball-by-ball/{over_key}/", "over", "An over, ball by ball", match.over, BallByBall, _OVER_KEY)
    declared.post(
        "updates-subscribe",
        "Push the match to the project's webhook URLs",
        subscriptions.subscribe,
        {400: "no webhook URL is configured, already subscribed, the match is over or unknown, or another method"},
        served=True,
    )
    declared.post(
        "updates-unsubscribe",
        "Push the match no more",
        subscriptions.unsubscribe,
        {404: "the match is not subscribed"},
        served=True,
    )
    for path in OTHER_PRODUCTS:
        summary = "Another push product of the provider, not served by this hub"
        declared.post(path, summary, subscriptions.other_product, {}, served=False)
    return tuple(declared.operations)


def _authentication(access: Access) -> Operation:
    return Operation(
        "POST",
        "/v5/core/{project_key}/auth/",
        "roanuz_auth",
        "A token for an API key",
        access.public(access.authenticate),
        (Parameter("project_key", "path", "the project's key", required=True),),
        body={"required": True, "content": {"application/json": {"schema": Login}}},
        answers={200: Answered("the token", Envelope[TokenData])}
        | _refused({400: "no such project, another key, or no JSON", 429: "too many wrong keys; see Retry-After"}),
        tag=TAG,
    )
