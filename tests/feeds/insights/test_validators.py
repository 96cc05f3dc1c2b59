"""Validators that others wrote take our SNS messages: sns-validator (npm, AWS's own), sns-message-validator (PyPI).

They fetch the certificate at the address in the message, over TLS, from what the feed's own operation serves.
"""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
import trustme

from touchline.feeds.base import Hosting
from touchline.feeds.insights.http import operations
from touchline.testing.memory import run
from touchline.wire import sns

from . import worlds
from .worlds import CODEC

NODE = Path(__file__).parents[2] / "node"
NAME = "127.0.0.1"


class Served(NamedTuple):
    """A server of the certificate: its origin, and the CA that vouches for it."""

    origin: str
    ca: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    hub = worlds.new_hub()
    handler = next(one.handler for one in operations(hub) if one.path.endswith(".pem"))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.removeprefix("/SimpleNotificationService-").removesuffix(".pem")
            answer = run(handler(worlds.get(self.path, id=name)))
            self.send_response(answer.status)
            for header in (*answer.headers, ("content-length", str(len(answer.body)))):
                self.send_header(*header)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NAME).configure_cert(context)
    ca = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    with ThreadingHTTPServer((NAME, 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Served(f"https://{NAME}:{server.server_port}", str(ca))
        server.shutdown()
        thread.join()


def messages(served: Served, version: str) -> dict[str, bytes]:
    """A message of each type."""
    hosting = Hosting(served.origin, worlds.signing())
    view = worlds.endpoint(delivery="envelope", signature_version=version)
    record = worlds.new_hub().publish(worlds.KIND, worlds.TOPIC, worlds.INSIGHT)
    prepared = CODEC.prepare(record, None)
    assert prepared is not None
    found = {sns.NOTIFICATION: CODEC.finish(prepared, view, worlds.MESSAGE_ID, worlds.NOW, hosting).body}
    for state, kind in (("pending", sns.SUBSCRIPTION_CONFIRMATION), ("ended", sns.UNSUBSCRIBE_CONFIRMATION)):
        sent = CODEC.handshake(view, worlds.subscription(state=state), worlds.MESSAGE_ID, worlds.NOW, hosting)
        assert sent is not None
        found[kind] = sent.body
    return found


def changed(body: bytes) -> bytes:
    return msgspec.json.encode(json.loads(body) | {"Timestamp": "2026-11-19T12:00:00.001Z"})


def test_awss_own_validator_takes_them(served: Served) -> None:
    if shutil.which("node") is None or not (NODE / "node_modules/sns-validator").is_dir():
        pytest.skip("node or its module sns-validator is not here")
    # UnsubscribeConfirmation is left out: the library forgets its Token, against AWS's own guide (sheet 7).
    good = [
        messages(served, version)[kind]
        for version in sns.VERSIONS
        for kind in (sns.NOTIFICATION, sns.SUBSCRIPTION_CONFIRMATION)
    ]
    bodies = [*good, *(changed(body) for body in good)]
    pattern = served.origin.removeprefix("https://").replace(".", "\\.")
    done = subprocess.run(
        ["node", str(NODE / "sns_validate.js"), pattern],
        input=b"".join(body + b"\n" for body in bodies),
        env=os.environ | {"NODE_EXTRA_CA_CERTS": served.ca},
        capture_output=True,
        timeout=60,
        check=True,
    )
    verdicts = done.stdout.decode().splitlines()
    assert verdicts[:4] == ["ok"] * 4
    assert len(verdicts) == 8
    assert all("signature" in verdict for verdict in verdicts[4:])


def test_the_validator_from_pypi_takes_all_three_types(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    validators = pytest.importorskip("sns_message_validator")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", served.ca)
    validator = validators.SNSMessageValidator(cert_url_regex=f"^{served.origin}/")
    for body in messages(served, "1").values():
        validator.validate_message(json.loads(body))
        with pytest.raises(validators.SignatureVerificationFailureException):
            validator.validate_message(json.loads(changed(body)))
