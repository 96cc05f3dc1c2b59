"""The requests that a webhook receiver makes itself: certificates, confirmations, forwarding. Off the event loop.

Whether an address may be asked is the codec's judgement; here it is only made sure that the request is what was judged:
https (unless plain http is allowed), no user in the address, no redirects, bounded in size and time.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from touchline.client.http import HttpSender, tls_context
from touchline.clock import Clock
from touchline.errors import RemoteProtocolError, UpstreamError
from touchline.wire.http import HttpRequest, HttpResponse, Pairs

CONNECT_SECONDS: Final = 3.0
READ_SECONDS: Final = 5.0
FORWARD_SECONDS: Final = 10.0
ERRAND_SECONDS: Final = 12.0
"""A certificate or a confirmation with its repetitions takes no longer: providers wait 10 to 15 seconds for us."""
CONFIRM_WAITS_SECONDS: Final = (0.0, 0.5, 2.0)
"""Before each try of a confirmation."""
MAX_ERRAND_BYTES: Final = 64 * 1024
MAX_ANSWER_BYTES: Final = 16 * 1024
"""Of what a forwarded message is answered with so much is passed on."""
CERTIFICATES: Final = 16
CERTIFICATE_SECONDS: Final = 24 * 3600.0
_ERRANDS_AT_ONCE: Final = 4
_PEM: Final = b"-----BEGIN CERTIFICATE-----"
_HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


class Errands:
    """Makes a receiver's own requests. It opens by itself at the first one; ``close`` ends it."""

    def __init__(self, clock: Clock, *, ca_file: Path | str | None, forwards_at_once: int) -> None:
        self._clock = clock
        self._ca_file = ca_file
        self._forwards_at_once = forwards_at_once
        self._fetching: tuple[HttpSender, ThreadPoolExecutor] | None = None
        self._forwarding: tuple[HttpSender, ThreadPoolExecutor] | None = None
        self._certificates: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._under_way: dict[str, asyncio.Task[bytes]] = {}

    async def close(self) -> None:
        """End what is under way and close the connections."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for pair in (self._fetching, self._forwarding):
            if pair is not None:
                pair[1].shutdown(wait=False, cancel_futures=True)
                pair[0].close()
        self._fetching = self._forwarding = None

    async def certificate(self, url: str, *, plain_http: bool) -> bytes:
        """The certificate (PEM) at that address, fetched once a day and once for all who ask at the same time.

        Raises:
            RemoteProtocolError: nothing may be fetched there.
            UpstreamError: it cannot be had now.
        """
        _check(url, plain_http=plain_http)
        known = self._certificates.get(url)
        if known is not None and self._clock.monotonic() < known[1]:
            self._certificates.move_to_end(url)
            return known[0]
        task = self._under_way.get(url)
        if task is None:
            task = self._under_way[url] = asyncio.create_task(self._fetch_certificate(url))
            task.add_done_callback(lambda done: self._fetched(url, done))
        return await asyncio.shield(task)

    async def confirm(self, url: str, *, plain_http: bool) -> None:
        """GET the address until it is answered with 2xx, a few times at most.

        Raises:
            RemoteProtocolError: nothing may be fetched there.
            UpstreamError: it was not confirmed.
        """
        _check(url, plain_http=plain_http)
        problem = UpstreamError("no answer in time")
        try:
            async with asyncio.timeout(ERRAND_SECONDS):
                for wait in CONFIRM_WAITS_SECONDS:
                    await asyncio.sleep(wait)
                    try:
                        answer = await self._get(url)
                    except UpstreamError as failed:
                        problem = failed
                        continue
                    if 200 <= answer.status < 300:
                        return
                    problem = UpstreamError(f"{_place(url)} answered {answer.status}", status=answer.status)
                    if answer.status < 500 and answer.status != 429:
                        break
        except TimeoutError:
            pass
        raise problem

    async def forward(self, url: str, headers: Pairs, body: bytes) -> HttpResponse:
        """POST a message on as it came; what it was answered with, cut to what a provider needs of it.

        Raises:
            UpstreamError: there was no answer.
        """
        if self._forwarding is None:
            self._forwarding = self._open("forward", self._forwards_at_once, FORWARD_SECONDS, 16 * 1024 * 1024)
        sender, threads = self._forwarding
        request = HttpRequest("POST", url=url, headers=end_to_end(headers), body=body)
        answer = await asyncio.get_running_loop().run_in_executor(threads, sender.send, request)
        kept = tuple(pair for pair in answer.headers if pair[0] in ("content-type", "retry-after"))
        return HttpResponse(answer.status, answer.body[:MAX_ANSWER_BYTES], kept)

    def _open(self, name: str, threads: int, read_seconds: float, limit: int) -> tuple[HttpSender, ThreadPoolExecutor]:
        sender = HttpSender(
            tls_context(self._ca_file),
            connect_seconds=CONNECT_SECONDS,
            read_seconds=read_seconds,
            max_answer_bytes=limit,
        )
        return sender, ThreadPoolExecutor(threads, thread_name_prefix=f"touchline-{name}")

    async def _get(self, url: str) -> HttpResponse:
        if self._fetching is None:
            self._fetching = self._open("errand", _ERRANDS_AT_ONCE, READ_SECONDS, MAX_ERRAND_BYTES)
        sender, threads = self._fetching
        return await asyncio.get_running_loop().run_in_executor(threads, sender.send, HttpRequest("GET", url=url))

    async def _fetch_certificate(self, url: str) -> bytes:
        try:
            async with asyncio.timeout(ERRAND_SECONDS):
                answer = await self._get(url)
        except TimeoutError:
            raise UpstreamError(f"{_place(url)}: no answer in time") from None
        if answer.status != 200 or _PEM not in answer.body:
            raise UpstreamError(f"{_place(url)} answered {answer.status}, and not with a certificate")
        self._certificates[url] = answer.body, self._clock.monotonic() + CERTIFICATE_SECONDS
        while len(self._certificates) > CERTIFICATES:
            self._certificates.popitem(last=False)
        return answer.body

    def _fetched(self, url: str, task: asyncio.Task[bytes]) -> None:
        del self._under_way[url]
        if not task.cancelled():
            task.exception()  # whoever waits is told; when nobody does any more, nobody needs to be


def end_to_end(headers: Pairs) -> Pairs:
    """The headers that belong to the message and not to the connection it came by."""
    named = {word.strip().lower() for name, value in headers if name == "connection" for word in value.split(",")}
    return tuple((name, value) for name, value in headers if name not in _HOP_BY_HOP and name not in named)


def _place(url: str) -> str:
    """The address without its query, which holds a token."""
    return url.partition("?")[0]


def _check(url: str, *, plain_http: bool) -> None:
    parts = urlsplit(url)
    schemes = ("https", "http") if plain_http else ("https",)
    if parts.scheme not in schemes or not parts.hostname or "@" in parts.netloc or not url.isprintable():
        raise RemoteProtocolError(f"{_place(url)[:200]!r} may not be fetched; expected {' or '.join(schemes)}")
