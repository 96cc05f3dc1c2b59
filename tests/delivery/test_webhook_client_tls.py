"""TLS as it is in the field: who is believed, who is not, and HTTP/2 where it is offered. FAULTS 10."""

from __future__ import annotations

import asyncio
import datetime
import json
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest
import trustme

from receivers import Receiver
from touchline.delivery.courier.client import WebhookClient, system_ca_file
from touchline.delivery.courier.transport import Post, Reply, Trouble

LOOPBACK = (ip_network("127.0.0.0/8"),)
H2_SERVER = """
const http2 = require("node:http2"), fs = require("node:fs");
const pem = fs.readFileSync(process.argv[1]);
const server = http2.createSecureServer({cert: pem, key: pem});
let sessions = 0;
server.on("session", () => { sessions += 1; });
server.on("stream", (stream, headers) => {
  let body = "";
  stream.on("error", () => {});
  stream.on("data", (data) => { body += data; });
  stream.on("end", () => {
    const path = headers[":path"];
    if (path === "/never") return;
    if (path === "/reset") return stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
    if (path === "/endless") {
      stream.respond({":status": 200});
      const more = () => { while (!stream.destroyed && stream.write("e".repeat(16384))); };
      stream.on("drain", more); return more();
    }
    stream.respond({":status": 202, "x-sessions": String(sessions)});
    stream.end(JSON.stringify({headers, body}));
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit(0)); process.stdin.resume();
"""


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self, directory: Path) -> None:
        self._ca = trustme.CA()
        self.file = directory / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def context(self, *names: str, **options: datetime.datetime) -> ssl.SSLContext:
        """A server's, with a certificate for these names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*names, **options).configure_cert(context)  # type: ignore[arg-type]
        return context

    def pem(self, path: Path, *names: str) -> Path:
        """A key and its certificate in one file."""
        self._ca.issue_cert(*names).private_key_and_cert_chain_pem.write_to_path(str(path))
        return path


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
async def client(authority: Authority) -> AsyncIterator[WebhookClient]:
    made = WebhookClient(LOOPBACK, ca_file=str(authority.file))
    yield made
    await made.close()


async def ask(client: WebhookClient, url: str, seconds: float = 10.0) -> Reply:
    answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    client.send(Post(url, (("x-a", "b"),), b"{}", seconds, seconds), answered.set_result)
    return await answered


async def test_a_good_certificate_and_one_connection_for_many_posts(
    client: WebhookClient, authority: Authority
) -> None:
    with Receiver(tls=authority.context("127.0.0.1", "localhost")) as receiver:
        for _ in range(20):
            assert (await ask(client, receiver.url())).status == 200
        assert receiver.connections == 1
        assert (await ask(client, receiver.url("ok", "localhost"))).status == 200


async def test_an_authority_that_is_not_trusted(authority: Authority, tmp_path: Path) -> None:
    for client in (WebhookClient(LOOPBACK), WebhookClient(LOOPBACK, ca_file=str(Authority(tmp_path).file))):
        with Receiver(tls=authority.context("127.0.0.1")) as receiver:
            reply = await ask(client, receiver.url("ok?token=secret"))
            assert reply.trouble is Trouble.TLS
            assert "certificate" in reply.detail
            assert "secret" not in reply.detail
            assert not receiver.seen
        await client.close()


async def test_a_certificate_that_signed_itself(client: WebhookClient, tmp_path: Path) -> None:
    request = "req -x509 -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -days 2"
    subprocess.run(
        ["openssl", *request.split(), "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with Receiver(tls=context) as receiver:
        reply = await ask(client, receiver.url())
    assert reply.trouble is Trouble.TLS
    assert "self" in reply.detail


async def test_an_expired_certificate(client: WebhookClient, authority: Authority) -> None:
    long_ago = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
    with Receiver(tls=authority.context("127.0.0.1", not_before=long_ago, not_after=long_ago)) as receiver:
        reply = await ask(client, receiver.url())
        assert not receiver.seen
    assert reply.trouble is Trouble.TLS
    assert "expired" in reply.detail


async def test_a_certificate_of_another_host(client: WebhookClient, authority: Authority) -> None:
    with Receiver(tls=authority.context("other.example")) as receiver:
        for host in ("127.0.0.1", "localhost"):
            reply = await ask(client, receiver.url("ok", host))
            assert reply.trouble is Trouble.TLS
            assert host in reply.detail
        assert not receiver.seen


async def test_a_handshake_that_stalls(client: WebhookClient) -> None:
    with Receiver(mute=True) as mute:
        reply = await ask(client, f"https://127.0.0.1:{mute.port}/", 1.0)  # connecting included
    assert (reply.trouble, reply.detail) == (Trouble.TLS, "the TLS handshake did not end within 1 s")


async def test_a_kept_tls_connection_that_never_answers(client: WebhookClient, authority: Authority) -> None:
    with Receiver(tls=authority.context("127.0.0.1")) as receiver:
        assert (await ask(client, receiver.url())).status == 200
        assert (await ask(client, receiver.url("never"), 1.0)).trouble is Trouble.TIMEOUT
        assert (await ask(client, receiver.url("never"), 2.0)).trouble is Trouble.TIMEOUT  # handshake included


async def test_a_receiver_that_speaks_no_tls(client: WebhookClient) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        reply = await ask(client, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert reply.trouble is Trouble.TLS


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_tls_before_1_2_is_refused(client: WebhookClient, authority: Authority) -> None:
    context = authority.context("127.0.0.1")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with Receiver(tls=context) as receiver:
        reply = await ask(client, receiver.url())
    assert reply.trouble is Trouble.TLS


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_1_2_and_1_3(client: WebhookClient, authority: Authority, version: ssl.TLSVersion) -> None:
    context = authority.context("127.0.0.1")
    context.minimum_version = context.maximum_version = version
    with Receiver(tls=context) as receiver:
        assert (await ask(client, receiver.url())).status == 200


@pytest.mark.parametrize("behaviour", ["reset", "reset-body", "short", "garbage", "silent-close"])
async def test_faults_through_tls(client: WebhookClient, authority: Authority, behaviour: str) -> None:
    with Receiver(tls=authority.context("127.0.0.1")) as receiver:
        assert (await ask(client, receiver.url(behaviour))).trouble is Trouble.BROKEN


def test_the_system_has_certificates_where_we_look() -> None:
    """A libcurl out of a wheel looks where its builder's system had them; without a file nothing would be trusted."""
    found = system_ca_file()
    assert found is not None
    assert b"BEGIN CERTIFICATE" in Path(found).read_bytes()


def test_an_operator_may_name_the_certificates(monkeypatch: pytest.MonkeyPatch, authority: Authority) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    assert system_ca_file() == str(authority.file)


@pytest.fixture
def h2_port(authority: Authority, tmp_path: Path) -> Iterator[int]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node, whose HTTP/2 server is used, is not installed")
    pem = authority.pem(tmp_path / "server.pem", "127.0.0.1")
    with subprocess.Popen(
        [node, "-e", H2_SERVER, str(pem)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield int(server.stdout.readline())
        server.stdin.close()
        assert server.wait(20) == 0


async def test_http_2_where_it_is_offered(client: WebhookClient, h2_port: int) -> None:
    url = f"https://127.0.0.1:{h2_port}"
    first = await ask(client, url + "/a?b=c")
    assert first.status == 202
    seen = json.loads(first.body)
    assert seen["body"] == "{}"
    assert {":method": "POST", ":path": "/a?b=c", "x-a": "b", "content-length": "2"}.items() <= seen["headers"].items()
    replies = await asyncio.gather(*(ask(client, url + "/many") for _ in range(50)))
    assert {reply.status for reply in replies} == {202}
    assert {dict(reply.headers)["x-sessions"] for reply in replies} == {"1"}


async def test_http_2_faults_leave_the_neighbours_on_the_connection(client: WebhookClient, h2_port: int) -> None:
    url = f"https://127.0.0.1:{h2_port}"
    assert (await ask(client, url + "/first")).status == 202
    cancelled = client.send(Post(url + "/never", (), b""), lambda reply: None)
    never, reset, endless, good = await asyncio.gather(
        ask(client, url + "/never", 1.0), ask(client, url + "/reset"), ask(client, url + "/endless"), ask(client, url)
    )
    cancelled.cancel()
    assert (never.trouble, reset.trouble, endless.status, good.status) == (Trouble.TIMEOUT, Trouble.BROKEN, 200, 202)
    assert dict((await ask(client, url)).headers)["x-sessions"] == "1"
