"""One way out for HTTP: verified TLS, bounded times and sizes, no redirects. Knows nothing of feeds or hubs."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

import urllib3

from touchline.errors import ConfigError, UpstreamError
from touchline.wire.http import HttpRequest, HttpResponse

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 30.0
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
_PIECE_BYTES: Final = 1024 * 1024


def tls_context(ca_file: Path | str | None = None) -> ssl.SSLContext:
    """A context that verifies against the system's authorities and, if given, those of ``ca_file`` (PEM).

    Raises:
        ConfigError: the file cannot be read or holds no certificate.
    """
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=str(ca_file))
        except OSError as problem:
            raise ConfigError(f"cannot use {ca_file} as a CA file: {problem}; give certificates in PEM form") from None
    return context


class HttpSender:
    """Makes requests, one connection pool for all hosts. Thread-safe, as urllib3's pool is; close it when done."""

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        read_seconds: float = READ_SECONDS,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        self._connect_seconds = connect_seconds
        self._timeout = urllib3.Timeout(connect=connect_seconds, read=read_seconds)
        self._pool = urllib3.PoolManager(ssl_context=context, retries=False, maxsize=4)
        self._max_answer_bytes = max_answer_bytes

    def send(self, request: HttpRequest) -> HttpResponse:
        """Make the request and return the whole answer, whatever its status; a redirect is an answer too.

        Raises:
            UpstreamError: there was no whole answer: refused, timed out, broken off, not trusted, or too large.
                ``sent`` tells whether the request may have reached the peer.
        """
        try:
            answer = self._begin(request, None)
            try:
                body = self._read(answer)
            finally:
                answer.close()
        except urllib3.exceptions.HTTPError as problem:
            raise NoAnswer(_word(problem, request.url), sent=not _is_unsent(problem)) from problem
        return HttpResponse(answer.status, body, _pairs(answer))

    def download(
        self, request: HttpRequest, take: Callable[[bytes, int | None], None], *, first_seconds: float
    ) -> HttpResponse:
        """Make the request and hand each piece of a 2xx answer's body to ``take``, with the whole size where it is
        told; memory holds one piece. The answer may take ``first_seconds`` to begin. Another answer is returned whole,
        as ``send`` does.

        Raises:
            UpstreamError: there was no whole answer; what was handed over is not to be trusted.
        """
        timeout = urllib3.Timeout(connect=self._connect_seconds, read=first_seconds)
        try:
            answer = self._begin(request, timeout)
            try:
                if not 200 <= answer.status < 300:
                    return HttpResponse(answer.status, self._read(answer), _pairs(answer))
                told = answer.headers.get("content-length", "")
                size = int(told) if told.isdigit() else None
                for piece in answer.stream(_PIECE_BYTES, decode_content=False):
                    take(piece, size)
            finally:
                answer.close()
        except urllib3.exceptions.HTTPError as problem:
            raise NoAnswer(_word(problem, request.url), sent=not _is_unsent(problem)) from problem
        return HttpResponse(answer.status, b"", _pairs(answer))

    def _begin(self, request: HttpRequest, timeout: urllib3.Timeout | None) -> urllib3.BaseHTTPResponse:
        headers = urllib3.HTTPHeaderDict()
        for name, value in request.headers:
            headers.add(name, value)
        return self._pool.request(
            request.method,
            request.url,
            body=request.body or None,
            headers=headers,
            redirect=False,
            retries=False,
            preload_content=False,
            timeout=timeout or self._timeout,
        )

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.clear()

    def _read(self, answer: urllib3.BaseHTTPResponse) -> bytes:
        parts, size = [], 0
        for part in answer.stream(256 * 1024, decode_content=True):
            parts.append(part)
            size += len(part)
            if size > self._max_answer_bytes:
                raise NoAnswer(f"the answer is larger than {self._max_answer_bytes} bytes", sent=True)
        return b"".join(parts)


class NoAnswer(UpstreamError):
    """There was no whole answer. ``sent`` is False when the request cannot have reached the peer."""

    def __init__(self, detail: str, *, sent: bool) -> None:
        super().__init__(detail)
        self.sent = sent


def _pairs(answer: urllib3.BaseHTTPResponse) -> tuple[tuple[str, str], ...]:
    return tuple((name.lower(), value) for name, value in answer.headers.items())


def _is_unsent(problem: Exception) -> bool:
    return isinstance(problem, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError)


def _word(problem: Exception, url: str) -> str:
    """What happened, in a line that a person can act on; the URL goes in without its query."""
    where = url.partition("?")[0]
    cause: BaseException | None = problem
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"{where}: the certificate is not trusted ({cause.verify_message}); a private CA goes in by --ca-file"
            )
        if isinstance(cause, ConnectionRefusedError):
            return f"{where}: connection refused; nothing listens there"
        cause = cause.__cause__ or cause.__context__
    if isinstance(problem, urllib3.exceptions.TimeoutError):
        return f"{where}: no answer in time"
    return f"{where}: {problem.__class__.__name__}: {str(problem).rpartition(': ')[2] or 'no answer'}"
