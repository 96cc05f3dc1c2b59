"""Notifications of an SNS that others wrote (moto's server) are taken by ``touchline listen insights``.

moto names Amazon's address for the certificate of its signature. That name leads here for the listener, with a
certificate of a test authority, to a server that asks moto (which finds its service in the authorization of a request
alone). moto does not confirm subscriptions, and posts nothing else than Notifications.
"""

from __future__ import annotations

import hashlib
import hmac
import http.server
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import msgspec
import pytest
import trustme

from .hubs import TOUCHLINE, clean_environment, free_port, request, wait_for
from .receivers import Program

NAME = "sns.us-east-1.amazonaws.com"
SECRET = "a secret shared with the provider"
TOPIC = "radar360-push-prod-NflMilestonesPushTopic-AtgiU177X7KK"
CREDENTIAL = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sns/aws4_request, SignedHeaders=host, Signature=0"


class Moto:
    """moto's server; ``call`` is a query action of SNS."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.front = 0
        """the port that Amazon's name leads to"""

    def call(self, action: str, **fields: str) -> str:
        """The answer's XML; must succeed."""
        headers = {"Authorization": CREDENTIAL, "Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode({"Action": action, "Version": "2010-03-31", **fields}).encode()
        answer = request("POST", f"http://127.0.0.1:{self.port}/", headers, body)
        assert answer.status == 200, answer
        return answer.body.decode()

    def is_there(self) -> bool:
        """Whether it answers."""
        try:
            return bool(self.call("ListTopics"))
        except OSError:
            return False


@contextmanager
def amazon(moto: Moto, authority: trustme.CA) -> Iterator[int]:
    """Amazon's front for the certificates; its port."""

    class Front(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = request("GET", f"http://127.0.0.1:{moto.port}{self.path}", {"Authorization": CREDENTIAL})
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *words: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NAME).configure_cert(context)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Front) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(10)


@pytest.fixture
def authority() -> trustme.CA:
    """Signs for Amazon's name."""
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    """The authority's certificate."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture
def moto(authority: trustme.CA, tmp_path: Path) -> Iterator[Moto]:
    """A started one, with Amazon's front."""
    program = Path(sys.executable).with_name("moto_server")
    if not program.is_file():
        pytest.skip("moto's server is not installed")
    server = Moto(free_port())
    with (tmp_path / "moto.log").open("wb") as log:
        process = subprocess.Popen(
            [str(program), "-p", str(server.port)], stdout=log, stderr=log, env=clean_environment()
        )
    try:
        wait_for(server.is_there, "moto's server is there", 30)
        with amazon(server, authority) as server.front:
            yield server
    finally:
        process.terminate()
        process.wait(10)


def signed(insight: bytes, timestamp: int, secret: str = SECRET) -> str:
    """The provider's object; ``insight`` is spelled as JavaScript does."""
    told = hmac.new(secret.encode(), b"%d.%b" % (timestamp, insight), hashlib.sha256).hexdigest()
    return f'{{"timestamp":{timestamp},"signature":"{told}","insight":{insight.decode()}}}'


def test_notifications_of_moto_are_verified_and_taken(moto: Moto, ca_file: Path) -> None:
    port = free_port()
    arn = moto.call("CreateTopic", Name=TOPIC).partition("<TopicArn>")[2].partition("</TopicArn>")[0]
    assert arn.endswith(TOPIC)
    moto.call("Subscribe", TopicArn=arn, Protocol="http", Endpoint=f"http://127.0.0.1:{port}/")
    command = [*TOUCHLINE, "listen", "insights", "--port", str(port), "--secret", SECRET, "--json"]
    local_dns = str(Path(__file__).parent / "programs" / "local_dns")
    with Program(
        [*command, "--ca-file", str(ca_file)],
        ready=None,
        PYTHONPATH=local_dns,
        LOCAL_DNS=f"{NAME}=127.0.0.1:{moto.front}",
    ) as listener:
        listener.says("listening: http")
        insights = [f'{{"10":1,"id":"i-{one}","content":"Größe {one}"}}'.encode() for one in range(5)]
        for number, text in enumerate(insights):
            moto.call("Publish", TopicArn=arn, Message=signed(text, 1_790_000_000_000 + number))
        taken = listener.reached("insight", len(insights))
        assert [one["id"] for one in taken] == [f"i-{one}" for one in range(5)]
        assert [one["content"] for one in taken] == [f"Größe {one}" for one in range(5)]

        moto.call("Publish", TopicArn=arn, Message=signed(insights[0], 1, secret="another"))
        listener.says("refused")
        moto.call("Publish", TopicArn=arn, Message=signed(b'{"id":"last"}', 2))
        assert msgspec.json.encode(listener.reached("insight", 6)[5]) == b'{"id":"last"}'
    assert SECRET not in listener.said


def test_without_the_certificate_nothing_is_taken(moto: Moto, ca_file: Path) -> None:
    port = free_port()
    arn = moto.call("CreateTopic", Name=TOPIC).partition("<TopicArn>")[2].partition("</TopicArn>")[0]
    moto.call("Subscribe", TopicArn=arn, Protocol="http", Endpoint=f"http://127.0.0.1:{port}/")
    command = [*TOUCHLINE, "listen", "insights", "--port", str(port), "--secret", SECRET, "--json"]
    local_dns = str(Path(__file__).parent / "programs" / "local_dns")
    with Program(command, ready=None, PYTHONPATH=local_dns, LOCAL_DNS=f"{NAME}=127.0.0.1:{moto.front}") as listener:
        listener.says("listening: http")  # and does not trust the test authority
        moto.call("Publish", TopicArn=arn, Message=signed(b'{"id":"i-1"}', 1))
        listener.says("certificate")
        assert listener.lines == []
