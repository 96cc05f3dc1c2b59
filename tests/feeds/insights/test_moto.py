"""An SNS that others wrote: what moto's server posts is taken, and what it could not have signed is not."""

from __future__ import annotations

import hashlib
import hmac
import importlib
import json
import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest

from touchline.errors import RemoteProtocolError
from touchline.feeds.base import NeedCertificate, Received, Trust
from touchline.wire.http import Pairs

from . import worlds
from .worlds import CODEC

boto3 = pytest.importorskip("boto3")
moto_server = pytest.importorskip("moto.server")

INSIGHT = '{"id":"x","league":"nba","type":"milestones","content":"José"}'


class Post(NamedTuple):
    headers: Pairs
    body: bytes


class Sns(NamedTuple):
    """moto's SNS with a topic that posts to a local server."""

    url: str
    client: Any
    topic: str
    posts: queue.Queue[Post]

    def publish(self, message: str) -> Post:
        """What arrives when a message is published."""
        self.client.publish(TopicArn=self.topic, Message=message)
        return self.posts.get(timeout=30)


@pytest.fixture(scope="module")
def producer() -> Iterator[Sns]:
    posts: queue.Queue[Post] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = tuple((name.lower(), value) for name, value in self.headers.items())
            posts.put(Post(headers, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    server = moto_server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client(
        "sns", region_name="us-east-1", endpoint_url=url, aws_access_key_id="x", aws_secret_access_key="x"
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as receiver:
        thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        topic = client.create_topic(Name="radar360-push-prod-NbaMilestonesPushTopic-AbCdEfGhIjKl")["TopicArn"]
        client.subscribe(TopicArn=topic, Protocol="http", Endpoint=f"http://127.0.0.1:{receiver.server_port}/")
        yield Sns(url, client, topic, posts)
        receiver.shutdown()
        thread.join()
    client.close()
    server.stop()


def signed() -> str:
    signature = hmac.new(worlds.SECRET.encode(), f"1795089600000.{INSIGHT}".encode(), hashlib.sha256).hexdigest()
    return f'{{"timestamp":1795089600000,"signature":"{signature}","insight":{INSIGHT}}}'


def test_a_notification_is_taken_with_the_certificate_of_its_sender(producer: Sns) -> None:
    post = producer.publish(signed())
    asked = CODEC.receive(post.headers, post.body, Trust((worlds.SECRET,)), worlds.NOW)
    assert isinstance(asked, NeedCertificate)
    # It claims to be Amazon's; its certificate is to be had from the emulator alone.
    backend = importlib.import_module("moto.sns.models").sns_backends["123456789012"]["us-east-1"]
    certificate = backend._message_public_keys[asked.url.rpartition("/")[2]]
    trust = Trust((worlds.SECRET,), certificates={asked.url: certificate})
    received = CODEC.receive(post.headers, post.body, trust, worlds.NOW)
    assert isinstance(received, Received)
    assert received.message_id == json.loads(post.body)["MessageId"]
    assert [(event.subject, event.data) for event in received.events] == [(worlds.TOPIC, INSIGHT.encode())]
    with pytest.raises(RemoteProtocolError, match="SNS signature is wrong"):
        CODEC.receive(post.headers, post.body.replace(b"Jos", b"Jon"), trust, worlds.NOW)


def test_an_emulators_notifications_are_taken_by_two_options(producer: Sns) -> None:
    """``touchline listen insights --option sns_signature=ignored``, with ``hmac=optional`` where it signs nothing."""
    post = producer.publish(signed())
    trust = Trust((worlds.SECRET,), options={"sns_signature": "ignored"})
    received = CODEC.receive(post.headers, post.body, trust, worlds.NOW)
    assert isinstance(received, Received)
    assert received.events[0].data == INSIGHT.encode()
    bare = producer.publish(INSIGHT)
    with pytest.raises(RemoteProtocolError, match="no insight"):
        CODEC.receive(bare.headers, bare.body, trust, worlds.NOW)
    liberal = Trust((worlds.SECRET,), options={"sns_signature": "ignored", "hmac": "optional"})
    received = CODEC.receive(bare.headers, bare.body, liberal, worlds.NOW)
    assert isinstance(received, Received)
    assert received.events[0].data == INSIGHT.encode()
