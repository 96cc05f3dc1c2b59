"""The HTTP side of insights: the REST feed (sheet 2.1), SNS's query actions and the signing certificate (sheet 2.3).

Loaded by name, by a server. ``rest`` and ``actions`` answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from touchline.feeds.base import Answered, Operation, Parameter, Ports
from touchline.feeds.insights import messages, state, topics
from touchline.feeds.insights.actions import Actions
from touchline.feeds.insights.rest import PAGE_SIZE, InsightsApi

SECURITY: Final = "insights-token"
"""The name of the scheme in the OpenAPI document: the bare token in the header Authorization."""
TAG: Final = "insights"

_REFUSALS: Final = {
    400: "the language or the pageToken is wrong",
    401: "the token is missing",
    403: "the token is wrong, or does not open this topic",
    404: "there is no such league, insight type or subject",
    429: "too many wrong tokens; see Retry-After",
}


def operations(ports: Ports) -> Sequence[Operation]:
    """Every operation of insights."""
    api, actions = InsightsApi(ports), Actions(ports)
    xml = {
        200: Answered("done", media_type="text/xml"),
        400: Answered("a parameter is wrong or too old", media_type="text/xml"),
        403: Answered("the partner may not receive this topic now", media_type="text/xml"),
        404: Answered("there is no such topic or subscription", media_type="text/xml"),
    }
    return (
        Operation(
            "GET",
            "/insights/v2/{league}/{language}/{insight_type}/{subject}/{subjectId}",
            "insights_v2",
            f"Insights of a game, a team or a player, newest first, {PAGE_SIZE} a page",
            api.insights,
            (
                _path("league", "the league", topics.LEAGUES),
                _path("language", "the language; other than en for scoring alone", topics.LOCALES),
                _path("insight_type", "the type of insight", topics.TYPES),
                _path("subject", "what subjectId names", state.SUBJECTS),
                _path("subjectId", "the id of the game, team or player, in either id system"),
                Parameter("pageToken", "query", "of the page before; an opaque text"),
                Parameter("bookId", "query", "insights of this book alone"),
            ),
            answers={200: Answered("a page of insights", messages.Results)}
            | {status: Answered(meaning, messages.ErrorBody) for status, meaning in _REFUSALS.items()},
            security=SECURITY,
            tag=TAG,
        ),
        Operation(
            "GET",
            "/",
            "insights_sns_action",
            "SNS query actions: ConfirmSubscription and Unsubscribe",
            actions.act,
            (
                Parameter(
                    "Action", "query", "what to do", {"type": "string", "enum": list(actions.NAMES)}, required=True
                ),
                Parameter("TopicArn", "query", "the topic to confirm"),
                Parameter("Token", "query", "the token of the handshake"),
                Parameter("SubscriptionArn", "query", "the subscription to end"),
            ),
            answers=xml,
            tag=TAG,
            when_query=("Action",),
        ),
        Operation(
            "GET",
            "/SimpleNotificationService-{id}.pem",
            "insights_signing_certificate",
            "The certificate of the key that signs SNS messages",
            actions.certificate,
            (Parameter("id", "path", "32 hex digits", required=True),),
            answers={
                200: Answered("the certificate", media_type="application/x-pem-file"),
                404: Answered("there is no such certificate", media_type="text/xml"),
            },
            tag=TAG,
        ),
    )


def _path(name: str, description: str, values: Sequence[str] = ()) -> Parameter:
    schema = {"type": "string", "enum": list(values)} if values else {"type": "string"}
    return Parameter(name, "path", description, schema, required=True)
