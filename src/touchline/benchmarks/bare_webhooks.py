"""A pycurl multi loop with nothing around it.

``python -m touchline.benchmarks.bare_webhooks PORT ENDPOINTS EACH QUERY`` signs and posts as the hub does, at most 256
at a time, and prints the CPU seconds and the wall seconds that the deliveries took. What it does not do is what the hub
adds: a log, cursors, order, time-outs, judging of addresses and answers.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import select
import sys
import time
from typing import Final

import pycurl

from touchline.benchmarks.machine import LOOPBACK

WINDOW: Final = 256
PER_ENDPOINT: Final = 8
BODY: Final = b'{"specversion":"1.0","id":"%d",' + b'"pad":"' + b"x" * 460 + b'"}'
KEY: Final = b"0123456789abcdef0123456789abcdef"


def _ignore(data: bytes) -> None:
    del data


class Loop:
    """Posts ``each`` bodies to each URL; ``window`` requests at a time, ``PER_ENDPOINT`` to one."""

    def __init__(self, urls: list[str], each: int, window: int = WINDOW) -> None:
        lanes = min(PER_ENDPOINT, each)
        self._left = dict.fromkeys(urls, each)
        self._waiting = [url for _ in range(lanes) for url in urls]
        self._total = each * len(urls)
        self._window = window
        self._epoll = select.epoll()
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, 4096)
        self._due: float | None = None
        self._handles = [self._handle() for _ in range(min(window, len(self._waiting)))]
        self._urls: dict[pycurl.Curl, str] = {}
        self._sent = 0
        self.done = 0
        self.failed = 0

    def _handle(self) -> pycurl.Curl:
        curl = pycurl.Curl()
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.PROXY, "")
        curl.setopt(pycurl.TCP_NODELAY, 1)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, 3000)
        curl.setopt(pycurl.TIMEOUT_MS, 10_000)
        curl.setopt(pycurl.WRITEFUNCTION, _ignore)
        return curl

    def _on_socket(self, what: int, fd: int, multi: object, data: object) -> None:
        del multi, data
        if what == pycurl.POLL_REMOVE:
            with contextlib.suppress(OSError):
                self._epoll.unregister(fd)
            return
        mask = (select.EPOLLIN if what & pycurl.POLL_IN else 0) | (select.EPOLLOUT if what & pycurl.POLL_OUT else 0)
        try:
            self._epoll.register(fd, mask)
        except FileExistsError:
            self._epoll.modify(fd, mask)

    def _on_timer(self, milliseconds: int) -> None:
        self._due = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000

    def _start(self) -> None:
        while self._waiting and self._handles:
            url = self._waiting.pop()
            if not self._left[url]:
                continue
            self._left[url] -= 1
            curl = self._handles.pop()
            self._sent += 1
            body = BODY % self._sent
            now = str(int(time.time()))
            signed = b".".join((b"msg_%d" % self._sent, now.encode(), body))
            signature = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
            curl.setopt(pycurl.URL, url)
            curl.setopt(pycurl.POSTFIELDS, body)
            curl.setopt(
                pycurl.HTTPHEADER,
                [
                    "Expect:",
                    "content-type: application/cloudevents+json",
                    f"webhook-id: msg_{self._sent}",
                    f"webhook-timestamp: {now}",
                    f"webhook-signature: v1,{signature}",
                ],
            )
            self._urls[curl] = url
            self._multi.add_handle(curl)

    def _finish(self) -> None:
        while True:
            queued, good, bad = self._multi.info_read()
            for curl in [*good, *(curl for curl, _, _ in bad)]:
                self.failed += curl.getinfo(pycurl.RESPONSE_CODE) != 200
                self._multi.remove_handle(curl)
                self._handles.append(curl)
                self._waiting.append(self._urls.pop(curl))
                self.done += 1
            if not queued:
                return

    def run(self) -> None:
        """Until all are answered."""
        while self.done < self._total:
            self._start()
            patience = 1.0 if self._due is None else max(0.0, self._due - time.monotonic())
            ready = self._epoll.poll(patience, 512)
            for fd, events in ready:
                self._multi.socket_action(
                    fd,
                    (pycurl.CSELECT_OUT if events & select.EPOLLOUT else 0)
                    | (pycurl.CSELECT_IN if events & ~select.EPOLLOUT else 0),
                )
            if self._due is not None and self._due <= time.monotonic():
                self._due = None
                self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
            self._finish()


def main() -> int:
    """Print CPU seconds and wall seconds; exit 1 if an answer was not 200."""
    port, endpoints, each, *query = sys.argv[1:]
    urls = [f"http://{LOOPBACK}:{port}/e{number}{''.join(query)}" for number in range(int(endpoints))]
    loop = Loop(urls, int(each))
    cpu, wall = time.process_time(), time.perf_counter()
    loop.run()
    sys.stdout.write(f"{time.process_time() - cpu} {time.perf_counter() - wall}\n")
    return 1 if loop.failed else 0


if __name__ == "__main__":
    sys.exit(main())
