"""What the webhook client sends, how it keeps connections, and its life: cancel, close, limits. FAULTS 14 and 24."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_network

import pycurl
import pytest
import uvloop

from receivers import Receiver
from touchline.delivery.courier import driver as driver_module
from touchline.delivery.courier.client import WebhookClient
from touchline.delivery.courier.transport import Post, Reply, Trouble
from touchline.delivery.courier.watching import EpollWatch, LoopWatch

LOOPBACK = (ip_network("127.0.0.0/8"),)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture(params=[EpollWatch, LoopWatch])
async def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WebhookClient]:
    monkeypatch.setattr(driver_module, "watch", request.param)
    made = WebhookClient(LOOPBACK)
    yield made
    await made.close()


def begin(client: WebhookClient, post: Post) -> asyncio.Future[Reply]:
    answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    client.send(post, answered.set_result)
    return answered


async def test_the_request_as_it_stands_on_the_wire(client: WebhookClient, receiver: Receiver) -> None:
    url = receiver.url("ok/a/../b//%7E?q=%2f&&x=%zz;'")
    headers = (("content-type", "text/plain; charset=UTF-8"), ("X-Empty", ""), ("x-long", "v" * 8192))
    reply = await begin(client, Post(url, headers, b'{"a":1}'))
    assert (reply.status, reply.body, reply.trouble) == (200, b"ok", None)
    (seen,) = receiver.seen
    assert (seen.method, seen.body) == ("POST", b'{"a":1}')
    assert seen.target == "/ok/a/../b//%7E?q=%2f&&x=%zz;'"
    assert seen.lines == (
        b"Host: 127.0.0.1:%d" % receiver.port,
        b"User-Agent: touchline",
        b"Accept: */*",
        b"content-type: text/plain; charset=UTF-8",
        b"X-Empty:",
        b"x-long: " + b"v" * 8192,
        b"Content-Length: 7",
    )


@pytest.mark.parametrize("size", [0, 1, 2_000_000])
async def test_bodies_of_any_size_go_out_at_once_with_their_length(
    client: WebhookClient, receiver: Receiver, size: int
) -> None:
    body = os.urandom(size)
    assert (await begin(client, Post(receiver.url(), (("user-agent", "mine"),), body))).status == 200
    (seen,) = receiver.seen
    assert seen.body == body
    assert seen.headers["content-length"] == str(size)
    assert seen.headers["user-agent"] == "mine"
    assert not {"expect", "accept-encoding", "content-type", "cookie"} & set(seen.headers)


async def test_the_answer_is_whole(client: WebhookClient, receiver: Receiver) -> None:
    reply = await begin(client, Post(receiver.url("status/429?Retry-After=7&set-cookie=a=b"), (), b""))
    assert (reply.status, reply.body) == (429, b"because")
    assert reply.headers == (("content-length", "7"), ("retry-after", "7"), ("set-cookie", "a=b"))
    assert reply.seconds > 0
    await begin(client, Post(receiver.url(), (), b""))
    assert "cookie" not in receiver.seen[-1].headers


async def test_nothing_of_a_request_is_left_for_the_next(client: WebhookClient, receiver: Receiver) -> None:
    await begin(client, Post(receiver.url(), (("x-secret", "s"), ("content-type", "a/b")), b"long body", 5, 5))
    reply = await begin(client, Post(receiver.url("never"), (), b"", 1.0, 1.0))
    assert reply.trouble is Trouble.TIMEOUT
    reply = await begin(client, Post(receiver.url("delay/1300"), (), b"x"))
    assert reply.status == 200, "nor its time"
    assert receiver.seen[-1].body == b"x"
    assert not {"x-secret", "content-type"} & set(receiver.seen[-1].headers)


async def test_the_environment_and_netrc_are_not_asked(
    client: WebhookClient, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with open(os.path.join(tmp_path, ".netrc"), "w") as netrc:
        netrc.write("machine 127.0.0.1 login somebody password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert (await begin(client, Post(receiver.url(), (), b""))).status == 200
    assert "authorization" not in receiver.seen[-1].headers


async def test_one_connection_serves_many_posts(client: WebhookClient, receiver: Receiver) -> None:
    for number in range(200):
        assert (await begin(client, Post(receiver.url(), (), b"%d" % number))).status == 200
    assert receiver.connections == 1
    assert [seen.body for seen in receiver.seen] == [b"%d" % number for number in range(200)]


async def test_hundreds_of_endpoints_at_once() -> None:
    client = WebhookClient((ip_network("127.0.0.0/8"),), max_connections=400)
    with Receiver(host="0.0.0.0") as receiver:
        hosts = [f"127.0.{number // 200}.{number % 200 + 1}" for number in range(300)]
        for _ in range(3):
            replies = await asyncio.gather(*(begin(client, Post(receiver.url("ok", host), (), b"x")) for host in hosts))
            assert {reply.status for reply in replies} == {200}
        assert receiver.connections == 300
        assert receiver.open == 300
        await client.close()
        await asyncio.to_thread(receiver.wait_closed)


async def test_connections_are_bounded_and_idle_ones_give_way() -> None:
    client = WebhookClient((ip_network("127.0.0.0/8"),), max_connections=4)
    with Receiver(host="0.0.0.0") as receiver:
        posts = [Post(receiver.url("delay/5", f"127.0.0.{number % 20 + 1}"), (), b"x") for number in range(60)]
        replies = await asyncio.gather(*(begin(client, post) for post in posts))
        assert {reply.status for reply in replies} == {200}
        assert receiver.peak < 20  # not exactly 4: a closed one may be seen later than its successor
        await client.close()


async def test_done_is_called_once_on_the_loop_after_send(client: WebhookClient, receiver: Receiver) -> None:
    events: list[str] = []
    threads: set[int] = set()
    ended = asyncio.Event()

    def done(reply: Reply) -> None:
        events.append(f"done {reply.status} {reply.trouble}")
        threads.add(threading.get_ident())
        if len(events) == 10:
            ended.set()

    for url in (receiver.url(), "http://10.0.0.1/", "http://127.0.0.1:1/", "nonsense:/", receiver.url("status/500")):
        client.send(Post(url, (), b""), done)
        events.append("sent")
    assert events == ["sent"] * 5
    await ended.wait()
    assert sorted(events[5:]) == [
        "done 200 None",
        "done 500 None",
        "done None Trouble.BROKEN",
        "done None Trouble.CONNECT",
        "done None Trouble.REFUSED_ADDRESS",
    ]
    assert threads == {threading.get_ident()}


async def test_a_done_may_fail_and_the_others_are_told(client: WebhookClient) -> None:
    """Refused addresses end in one turn."""
    loop = asyncio.get_running_loop()
    problems: list[object] = []
    loop.set_exception_handler(lambda _, context: problems.append(context["exception"]))
    called: list[Reply] = []
    ended = asyncio.Event()

    def done(reply: Reply) -> None:
        called.append(reply)
        if len(called) == 20:
            ended.set()
        raise KeyError("a mistake")

    for _ in range(20):
        client.send(Post("http://10.0.0.1/", (), b""), done)
    await ended.wait()
    assert {reply.trouble for reply in called} == {Trouble.REFUSED_ADDRESS}
    while len(problems) < 20:
        await asyncio.sleep(0)
    assert {type(problem) for problem in problems} == {KeyError}


async def test_a_done_may_send_and_cancel(client: WebhookClient, receiver: Receiver) -> None:
    """Requests that end in one turn: the first ``done`` cancels the others and sends again."""
    sendings = []
    called: list[Reply] = []
    again: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    def done(reply: Reply) -> None:
        called.append(reply)
        for sending in sendings:
            sending.cancel()
        client.send(Post(receiver.url(), (), b""), again.set_result)

    sendings.extend(client.send(Post("http://10.0.0.1/", (), b""), done) for _ in range(20))
    assert (await again).status == 200
    assert len(called) == 1
    assert (await begin(client, Post(receiver.url(), (), b""))).status == 200


async def test_a_done_may_close(client: WebhookClient) -> None:
    """Whoever is told of the first of many that end in one turn may close: the others are told all the same."""
    called: list[Trouble | None] = []
    closing: list[asyncio.Task[None]] = []

    def done(reply: Reply) -> None:
        called.append(reply.trouble)
        if len(called) == 1:
            closing.append(asyncio.ensure_future(client.close()))

    for _ in range(5):
        client.send(Post("http://10.0.0.1/", (), b""), done)
        client.send(Post("http://127.0.0.1:1/", (), b""), done)
    while len(called) < 10:
        await asyncio.sleep(0)
    await closing[0]


async def test_cancel_breaks_off_for_good(client: WebhookClient, receiver: Receiver) -> None:
    called: list[Reply] = []
    sendings = [client.send(Post(receiver.url("never"), (), b""), called.append) for _ in range(10)]
    early = client.send(Post(receiver.url("early"), (), b""), called.append)
    early.cancel()
    await asyncio.to_thread(receiver.wait_for, 10, "never")
    for sending in sendings:
        sending.cancel()
        sending.cancel()
    await asyncio.to_thread(receiver.wait_closed)
    answered = [begin(client, Post(receiver.url(), (), b"")) for _ in range(20)]
    for sending in sendings:
        sending.cancel()  # their handles serve others by now
    assert {reply.status for reply in await asyncio.gather(*answered)} == {200}
    assert not called
    assert not [seen for seen in receiver.seen if seen.target == "/early"]


async def test_close_tells_what_was_under_way(client: WebhookClient, receiver: Receiver) -> None:
    answered = [begin(client, Post(receiver.url("never"), (), b"")) for _ in range(20)]
    await asyncio.to_thread(receiver.wait_for, 20)
    await client.close()
    assert {reply.trouble for reply in await asyncio.gather(*answered)} == {Trouble.CANCELLED}
    await asyncio.to_thread(receiver.wait_closed)
    await client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.send(Post(receiver.url(), (), b""), lambda reply: None)


async def test_a_client_that_sent_nothing_closes() -> None:
    await WebhookClient().close()


@pytest.mark.parametrize(
    "header",
    [
        ("x-a", "b\r\nx-injected: yes"),
        ("x-a", "b\nc"),
        ("x-a", "\r"),
        ("x-a", "b\0"),
        ("x-a", "café"),
        ("x-a", "\u2028"),
        ("x-a\r\nx-injected", "yes"),
        ("x a", "b"),
        ("x:a", "b"),
        ("", "b"),
        ("é", "b"),
        ("Host", "internal"),
        ("content-LENGTH", "0"),
        ("Transfer-Encoding", "chunked"),
        ("connection", "close"),
        ("expect", "100-continue"),
    ],
)
async def test_headers_that_cannot_be_sent(client: WebhookClient, receiver: Receiver, header: tuple[str, str]) -> None:
    called: list[Reply] = []
    with pytest.raises(ValueError, match="header"):
        client.send(Post(receiver.url("bad"), (("x-good", "1"), header), b""), called.append)
    assert (await begin(client, Post(receiver.url(), (("x-good", "1"),), b""))).status == 200
    assert [seen.target for seen in receiver.seen] == ["/ok"]
    assert not called


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "2130706433", "0177.0.0.1", "0x7f.1", "127.1", "[::ffff:127.0.0.1]", "localhost", "a.localhost"],
)
async def test_a_refused_address_is_not_even_connected_to(receiver: Receiver, host: str) -> None:
    client = WebhookClient()
    reply = await begin(client, Post(receiver.url("ok", host), (), b""))
    assert (reply.status, reply.trouble) == (None, Trouble.REFUSED_ADDRESS)
    assert "loopback" in reply.detail
    assert "--allow-network" in reply.detail
    assert receiver.connections == 0
    await client.close()


@pytest.mark.parametrize(
    "host",
    [
        "10.1.2.3",
        "169.254.169.254",
        "100.64.0.1",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "0.0.0.0",
        "[64:ff9b::a00:1]",
        "[::]",
    ],
)
async def test_other_refused_addresses(host: str) -> None:
    client = WebhookClient()
    reply = await begin(client, Post(f"http://{host}/", (), b"", 2.0, 2.0))
    assert reply.trouble is Trouble.REFUSED_ADDRESS
    await client.close()


async def test_of_a_name_with_allowed_and_refused_addresses_the_allowed_one_is_used(receiver: Receiver) -> None:
    """``localhost`` is ::1 and 127.0.0.1."""
    client = WebhookClient(LOOPBACK)
    assert (await begin(client, Post(receiver.url("ok", "localhost"), (), b""))).status == 200
    await client.close()


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/", "file:///etc/passwd", "http://user:secret@127.0.0.1/", "http://", "gopher://127.0.0.1/"]
)
async def test_urls_that_no_endpoint_can_have(client: WebhookClient, url: str) -> None:
    reply = await begin(client, Post(url, (), b""))
    assert reply.trouble is Trouble.BROKEN
    assert "secret" not in reply.detail


async def test_nobody_listens(client: WebhookClient) -> None:
    with socket.socket() as bound:  # and nobody else can: the port stays ours
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        reply = await begin(client, Post(f"http://127.0.0.1:{port}/?token=secret", (), b""))
    assert reply.trouble is Trouble.CONNECT
    assert "secret" not in reply.detail


async def test_a_connection_that_does_not_come_about_in_time(client: WebhookClient) -> None:
    """A full queue of connections: the kernel drops what asks for another, as a firewall would."""
    with socket.socket() as server, socket.socket() as first, socket.socket() as second:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        reply = await begin(client, Post(f"http://127.0.0.1:{server.getsockname()[1]}/", (), b"", 0.3, 5.0))
    assert (reply.trouble, reply.detail) == (Trouble.CONNECT, "no connection within 0.3 s")


async def test_a_name_that_does_not_exist(client: WebhookClient) -> None:
    """``.invalid`` is never resolved (RFC 6761); with a resolver that is out of reach it takes its time."""
    reply = await begin(client, Post("http://nobody.invalid/", (), b"", 2.0, 2.0))
    assert reply.trouble is Trouble.NAME


def fill_descriptors(held: list[int]) -> None:
    with contextlib.suppress(OSError):
        while True:
            held.append(os.dup(0))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("spare", [0, 1])
async def test_out_of_descriptors_is_said_and_passes(client: WebhookClient, receiver: Receiver, spare: int) -> None:
    assert (await begin(client, Post("http://10.0.0.1/", (), b""))).trouble is Trouble.REFUSED_ADDRESS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, hard))
        fill_descriptors(held)
        for _ in range(spare):
            os.close(held.pop())
        replies = await asyncio.gather(*(begin(client, Post(receiver.url(), (), b"")) for _ in range(5)))
        assert {reply.trouble for reply in replies} == {Trouble.CONNECT}
        assert {reply.detail for reply in replies} == {"no socket could be opened here: Too many open files"}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in held:
            os.close(fd)
    assert (await begin(client, Post(receiver.url(), (), b""))).status == 200


async def test_thousands_of_requests_leave_nothing_behind(client: WebhookClient, receiver: Receiver) -> None:
    gc.collect()
    before = descriptors()
    paths = ["ok", "status/500", "close-idle", "reset", "short", "silent-close", "ok", "garbage", "endless"]
    for start in range(0, 3000, 100):
        posts = [Post(receiver.url(paths[number % len(paths)]), (), b"x" * 500) for number in range(start, start + 100)]
        sendings = [client.send(post, lambda reply: None) for post in posts[:10]]
        replies = await asyncio.gather(*(begin(client, post) for post in posts[10:]))
        assert len(replies) == 90
        for sending in sendings:
            sending.cancel()
    assert len(client._idle) <= 100
    assert not client._active
    await client.close()
    await asyncio.to_thread(receiver.wait_closed)
    gc.collect()
    assert descriptors() <= before
    assert not [thing for thing in gc.get_objects() if isinstance(thing, pycurl.Curl) and not thing.closed]


def test_on_uvloop(receiver: Receiver) -> None:
    async def main() -> list[int | None]:
        client = WebhookClient(LOOPBACK)
        posts = [Post(receiver.url("delay/1" if number % 5 else "reset"), (), b"x") for number in range(500)]
        replies = await asyncio.gather(*(begin(client, post) for post in posts))
        late = await begin(client, Post(receiver.url("never"), (), b"", 0.2, 0.2))
        await client.close()
        return [*(reply.status for reply in replies), late.status]

    assert uvloop.run(main()) == [None, 200, 200, 200, 200] * 100 + [None]
