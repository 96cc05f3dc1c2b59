"""One request of libcurl: its options, its callbacks, and what came of it. Knows no event loop.

The guard of addresses stands here: it judges each address when libcurl wants a socket for it, so a name that leads
elsewhere by then gains nothing, and of several addresses the refused ones are passed over.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Sequence
from typing import Any, Final

import pycurl

from touchline.delivery.courier.addresses import Network, refusal
from touchline.delivery.courier.answers import HeaderLines, described, head_lines
from touchline.delivery.courier.transport import KEPT_BYTES, READ_BYTES, Post, Reply, Trouble

_DNS_SECONDS: Final = 30
_IDLE_SECONDS: Final = 60
_CONNECTION_SECONDS: Final = 120
"""A connection is not used for longer, so that an endpoint whose name moves is followed."""
_KEEPALIVE_SECONDS: Final = 30
_DISALLOW_USERNAME_IN_URL: Final = 278  # pycurl has no name for it


class _Opened:
    """A new socket for libcurl, which takes a duplicate of it; ours is closed with this object."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        return self._fd

    def __del__(self) -> None:
        os.close(self._fd)


class Handle:
    """An easy handle with its callbacks, used for one request after the other."""

    def __init__(self, allowed: Sequence[Network], ca_file: str | None) -> None:
        self.curl = pycurl.Curl()
        self.url = ""
        self.seconds = (0.0, 0.0)
        self.head = HeaderLines()
        self.body: list[bytes] = []
        self.body_bytes = 0
        self.enough = False
        self.refused = ""
        self.opened = False
        self.no_socket = ""
        self._allowed = allowed
        self._configure(ca_file)

    def _configure(self, ca_file: str | None) -> None:
        setopt = self.curl.setopt
        for option, value in (
            (pycurl.NOSIGNAL, 1),
            (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
            (pycurl.PROXY, ""),
            (pycurl.NOPROXY, "*"),
            (pycurl.NETRC, pycurl.NETRC_IGNORED),
            (_DISALLOW_USERNAME_IN_URL, 1),
            (pycurl.PATH_AS_IS, 1),
            (pycurl.FOLLOWLOCATION, 0),
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS),
            (pycurl.HTTP09_ALLOWED, 0),
            (pycurl.HTTP_CONTENT_DECODING, 0),
            (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2),
            (pycurl.SSL_VERIFYPEER, 1),
            (pycurl.SSL_VERIFYHOST, 2),
            (pycurl.TCP_NODELAY, 1),
            (pycurl.TCP_KEEPALIVE, 1),
            (pycurl.TCP_KEEPIDLE, _KEEPALIVE_SECONDS),
            (pycurl.TCP_KEEPINTVL, _KEEPALIVE_SECONDS),
            (pycurl.DNS_CACHE_TIMEOUT, _DNS_SECONDS),
            (pycurl.MAXAGE_CONN, _IDLE_SECONDS),
            (pycurl.MAXLIFETIME_CONN, _CONNECTION_SECONDS),
            (pycurl.POST, 1),
            (pycurl.USERAGENT, "touchline"),
            (pycurl.OPENSOCKETFUNCTION, self._open_socket),
            (pycurl.HEADERFUNCTION, self.head.take),
            (pycurl.WRITEFUNCTION, self._take_body),
        ):
            setopt(option, value)
        if ca_file is not None:
            setopt(pycurl.CAINFO, ca_file)

    def prepare(self, post: Post) -> None:
        """Set everything that differs between requests. Raises ValueError for headers that cannot be sent."""
        setopt = self.curl.setopt
        setopt(pycurl.HTTPHEADER, head_lines(post.headers))
        setopt(pycurl.POSTFIELDS, post.body)
        if post.url != self.url:
            setopt(pycurl.URL, post.url)
            self.url = post.url
        if (post.connect_seconds, post.whole_seconds) != self.seconds:
            self.seconds = (post.connect_seconds, post.whole_seconds)
            setopt(pycurl.CONNECTTIMEOUT_MS, max(1, round(post.connect_seconds * 1000)))
            setopt(pycurl.TIMEOUT_MS, max(1, round(post.whole_seconds * 1000)))
        self.head.clear()
        self.body = []
        self.body_bytes = 0
        self.enough = self.opened = False
        self.refused = self.no_socket = ""

    def _open_socket(self, purpose: int, where: Any) -> _Opened | int:
        try:
            if purpose != pycurl.SOCKTYPE_IPCXN or where.family not in (socket.AF_INET, socket.AF_INET6):
                return int(pycurl.SOCKET_BAD)
            address = where.addr[0]
            text = address.decode("ascii") if isinstance(address, bytes) else address
            reason = refusal(ipaddress.ip_address(text.partition("%")[0]), self._allowed)
            if reason is not None:
                self.refused = reason
                return int(pycurl.SOCKET_BAD)
            opened = _Opened(socket.socket(where.family, where.socktype, where.protocol).detach())
            os.close(os.dup(opened.fileno()))  # pycurl will need one more, and could not say that there is none
        except OSError as error:
            self.no_socket = error.strerror or "unknown error"
            return int(pycurl.SOCKET_BAD)
        self.opened = True
        return opened

    def _take_body(self, data: bytes) -> int | None:
        room = KEPT_BYTES - self.body_bytes
        if room > 0:
            self.body.append(data[:room])
        self.body_bytes += len(data)
        if self.body_bytes < READ_BYTES:
            return None
        self.enough = True
        return 0

    def reply(self, code: int, message: str, seconds: float) -> Reply:
        """What came of the request that has ended with libcurl's ``code``."""
        if code == pycurl.E_OK or (self.enough and code == pycurl.E_WRITE_ERROR):
            status = self.curl.getinfo(pycurl.RESPONSE_CODE)
            if 200 <= status <= 999:
                return Reply(status, self.head.pairs(), b"".join(self.body), seconds=seconds)
            return Reply(None, trouble=Trouble.BROKEN, detail=f"the answer has the status {status}", seconds=seconds)
        trouble, detail = self._trouble(code, message)
        return Reply(None, trouble=trouble, detail=detail, seconds=seconds)

    def _trouble(self, code: int, message: str) -> tuple[Trouble, str]:
        if self.refused and not self.opened:
            return Trouble.REFUSED_ADDRESS, self.refused
        if self.no_socket and not self.opened:
            return Trouble.CONNECT, f"no socket could be opened here: {self.no_socket}"
        if self.head.flaw:
            return Trouble.BROKEN, self.head.flaw
        if code == pycurl.E_OPERATION_TIMEDOUT:
            return self._late(message)
        return described(code, message)

    def _late(self, message: str) -> tuple[Trouble, str]:
        """What a time-out means. Only libcurl's message tells where the request was: its times and sizes are also those
        of a kept connection that turned out closed before."""
        connect_seconds, whole_seconds = self.seconds
        patience = min(connect_seconds, whole_seconds)
        if message.startswith("Resolving"):
            return Trouble.NAME, f"the name was not resolved within {patience:g} s"
        if not message.startswith("Connection"):
            return Trouble.TIMEOUT, f"no whole answer within {whole_seconds:g} s"
        if self.curl.getinfo(pycurl.CONNECT_TIME) > 0:
            return Trouble.TLS, f"the TLS handshake did not end within {patience:g} s"
        return Trouble.CONNECT, f"no connection within {patience:g} s"
