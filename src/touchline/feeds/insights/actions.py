"""SNS's query actions, because the addresses in our handshakes point at them, and the signing certificate.

Anybody may call them, as at SNS: who has the token, or the subscription's ARN, has them from us. XML shapes: sheet 2.3.
"""

from __future__ import annotations

from typing import Final
from xml.sax.saxutils import escape

from touchline.errors import NotFound
from touchline.feeds.base import Ports, Subscription
from touchline.feeds.insights.messages import FEED_NAME
from touchline.feeds.insights.topics import by_arn, matching, opened
from touchline.feeds.insights.webhooks import subscription_arn
from touchline.wire import sns
from touchline.wire.http import HttpRequest, HttpResponse, Pairs

_NAMESPACE: Final = "http://sns.amazonaws.com/doc/2010-03-31/"
_XML: Final[Pairs] = (("content-type", "text/xml"),)
_INVALID: Final = "InvalidParameter"


class _Refused(Exception):
    """The call gets this status, code and message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Actions:
    """``GET /?Action=…`` and ``GET /SimpleNotificationService-….pem``."""

    NAMES: Final = ("ConfirmSubscription", "Unsubscribe")

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    async def act(self, request: HttpRequest) -> HttpResponse:
        """One of the actions; XML either way."""
        try:
            # A HEAD, which link checkers send, must confirm nothing.
            action = request.param("Action") if request.method == "GET" else None
            if action == "ConfirmSubscription":
                return await self._confirm(request)
            if action == "Unsubscribe":
                return await self._unsubscribe(request)
            raise _Refused(400, "InvalidAction", "The action is not valid for this endpoint.")
        except _Refused as refused:
            return self._refusal(refused)

    async def certificate(self, request: HttpRequest) -> HttpResponse:
        """The certificate under its own name, and under no other."""
        signing = await self._ports.signing(FEED_NAME)
        if f"SimpleNotificationService-{request.path_params.get('id')}.pem" != sns.certificate_name(signing):
            return self._refusal(_Refused(404, "NotFound", "There is no such certificate."))
        return HttpResponse(
            200,
            sns.certificate(signing),
            (("content-type", "application/x-pem-file"), ("cache-control", "public, max-age=86400")),
        )

    async def _confirm(self, request: HttpRequest) -> HttpResponse:
        """The same token again gives the same answer (OUR CHOICE, sheet 4)."""
        topic = by_arn(_needed(request, "TopicArn"))
        token = _needed(request, "Token")
        if topic is None:
            raise _Refused(404, "NotFound", "Topic does not exist")
        subscription = self._ports.subscriptions.by_token(FEED_NAME, token)
        if subscription is None or subscription.topic != topic:
            raise _Refused(400, _INVALID, "Invalid parameter: Token")
        if subscription.expires_at is not None and subscription.expires_at <= self._ports.now().wall_ns:
            raise _Refused(400, _INVALID, "Invalid parameter: Token (it has expired; ask for a new handshake)")
        self._check_still_wanted(subscription)
        try:
            await self._ports.subscriptions.confirm(subscription)
        except NotFound:
            raise _Refused(404, "NotFound", "Subscription does not exist") from None
        arn = escape(subscription_arn(subscription.endpoint, topic))
        return self._done(
            "ConfirmSubscription",
            f"<ConfirmSubscriptionResult><SubscriptionArn>{arn}</SubscriptionArn></ConfirmSubscriptionResult>",
        )

    def _check_still_wanted(self, subscription: Subscription) -> None:
        """The address in an UnsubscribeConfirmation restores a subscription, but not one that the operator took away:
        the endpoint must stand and have the topic still, and its partner's grants must open it.
        """
        member = self._ports.directory.member(FEED_NAME, partner=subscription.partner)
        views = self._ports.subscriptions.endpoints(FEED_NAME, subscription.partner)
        view = next((one for one in views if one.id == subscription.endpoint), None)
        if view is None:
            raise _Refused(404, "NotFound", "Subscription does not exist")
        topic = subscription.topic
        if member is None or topic not in matching(view.topics) or topic not in opened(member.grants):
            raise _Refused(403, "AuthorizationError", "The endpoint may not receive this topic")

    async def _unsubscribe(self, request: HttpRequest) -> HttpResponse:
        arn = _needed(request, "SubscriptionArn")
        topic_arn, _, name = arn.rpartition(":")
        topic = by_arn(topic_arn)
        if topic is None:
            raise _Refused(400, _INVALID, "Invalid parameter: SubscriptionArn")
        subscription = self._ports.subscriptions.by_id(FEED_NAME, name)
        if subscription is None or subscription.topic != topic or not subscription.endpoint:
            raise _Refused(404, "NotFound", "Subscription does not exist")
        try:
            await self._ports.subscriptions.end(subscription, tell=True)
        except NotFound:
            raise _Refused(404, "NotFound", "Subscription does not exist") from None
        return self._done("Unsubscribe", "")

    def _done(self, action: str, result: str) -> HttpResponse:
        metadata = f"<ResponseMetadata><RequestId>{self._ports.new_id()}</RequestId></ResponseMetadata>"
        text = f'<{action}Response xmlns="{_NAMESPACE}">{result}{metadata}</{action}Response>'
        return HttpResponse(200, text.encode(), _XML)

    def _refusal(self, refused: _Refused) -> HttpResponse:
        text = (
            f'<ErrorResponse xmlns="{_NAMESPACE}"><Error><Type>Sender</Type><Code>{refused.code}</Code>'
            f"<Message>{escape(refused.message)}</Message></Error>"
            f"<RequestId>{self._ports.new_id()}</RequestId></ErrorResponse>"
        )
        return HttpResponse(refused.status, text.encode(), _XML)


def _needed(request: HttpRequest, name: str) -> str:
    value = request.param(name)
    if not value:
        raise _Refused(400, _INVALID, f"Invalid parameter: {name}")
    return value
