"""Insights: an Express receiver after the provider's page, and the SNS validators that others wrote, against a hub.

What is compared is what JavaScript sees: an insight is verified, and held against the REST, as ``JSON.stringify`` of
it.
"""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme

from .hubs import LOOPBACK, Endpoint, Hub, clean_environment, cloud_event, free_port, request, wait_for
from .nodes import NODE, need_package, node
from .receivers import Program, Reception

GAME = "027115fa-c2c0-4752-a753-8bf5e5460cf3"
TEAM = "583eccfa-fb46-11e1-82cb-f4ce4684ea4c"
HEAD = '"league":"nfl","gameId":"' + GAME + '","subjects":[{"type":"team","subjectUsId":"' + TEAM + '"}]'
SPELLINGS = (
    '{"id":"i-1",%s,"plain":"no traps here","relevancyIndex":12}',
    '{"id":"i-2",%s,"n":[1.0,-0,-0.0,1E5,1e-7,1e21,0.1,100.50,5e-324,1.7976931348623157e308,9007199254740991]}',
    '{"id":"i-3",%s,"10":"ten","2":"two","b":{"01":1,"1":2,"0":3,"-1":4,"a":{"4294967295":1,"4294967294":2}}}',
    r'{"id":"i-4",%s,"t":"\u00e9 \/ \ud83c\udfc8 \u2028\u2029 \u007f <b>&amp;</b> \" \\ \b\f\n\r\t \u0000\u001f"}',
    '{"id":"i-5",%s,"t":"Größe – ’ 🏈 \u2028 \u007f","ключ":"значение","":null,"e":[],"o":{}}',
    '{ "id" : "i-6" ,\t%s , "list" : [ true , false , null , [ ] , { } , [ 1 , [ 2.50 ] ] ] }',
)
"""Insights as publishers may spell them; ``%s`` is filled with what routes them."""


def insight(number: int) -> bytes:
    """One of them."""
    return (SPELLINGS[number] % HEAD).encode()


def event(name: str, topic: str, number: int = 0) -> bytes:
    """A line that publishes it."""
    return cloud_event(name, "insights.insight", topic, insight(number), "/radar")


def stringified(program: str, texts: Sequence[bytes]) -> list[str]:
    """What JavaScript prints of each text after parsing."""
    given = b"".join(msgspec.json.encode(text.decode()) + b"\n" for text in texts)
    command = [program, str(NODE / "stringify.js")]
    done = subprocess.run(command, input=given, capture_output=True, check=True, timeout=30)
    return [msgspec.json.decode(line, type=str) for line in done.stdout.splitlines()]


def rest(program: str, hub: Hub, token: str, path: str, pages: int = 1) -> list[str]:
    """All items of a REST list of so many pages, as JavaScript prints them."""
    done = subprocess.run(
        [program, str(NODE / "insights_rest.js"), f"{hub.url}/insights/v2/{path}"],
        env=clean_environment(TOKEN=token),
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done
    answers = [msgspec.json.decode(line) for line in done.stdout.splitlines()]
    assert [answer["status"] for answer in answers] == [200] * pages, answers
    return [item for answer in answers for item in answer["items"]]


@contextmanager
def receiving(
    hub: Hub, topics: Sequence[str], *flags: str, options: dict[str, str] | None = None, **environment: str
) -> Iterator[tuple[Program, Endpoint]]:
    """The Express receiver, listening for these topics of partner ``desk``."""
    secret_file = hub.data.with_name(f"secret-{free_port()}")
    command = [node(), str(NODE / "insights_receiver.js"), "0", *flags]
    with Program(command, SECRET_FILE=str(secret_file), **environment) as receiver:
        url = f"http://127.0.0.1:{receiver.lines[0]['listening']}/"
        endpoint = hub.add_endpoint("desk", url, "insights", *topics, options=options)
        secret_file.write_text(endpoint.secret)
        yield receiver, endpoint
        assert receiver.all("failed") == []


@pytest.fixture
def hub(make_hub: Callable[..., Hub]) -> Hub:
    """A hub whose webhooks may stay on this machine."""
    need_package("express")
    need_package("sns-validator")
    return make_hub(*LOOPBACK)


def test_the_express_receiver_verifies_every_insight_and_finds_it_by_rest(hub: Hub) -> None:
    program = node()
    token = hub.add_partner("desk", "insights")["token"]
    topics = ("nfl/milestones/en", "nba/scoring/*")
    numbers = range(len(SPELLINGS))
    expected = stringified(program, [insight(number) for number in [*numbers, 4, 1, 0]])
    with (
        receiving(hub, topics) as raw,
        receiving(hub, topics, options={"delivery": "envelope", "content_type": "json"}) as envelope,
    ):
        for receiver, _ in (raw, envelope):
            receiver.reached("confirmed", 6)
            asked = [line for line in receiver.lines if "asked" in line]
            assert len({line["asked"] for line in asked}) == 6
            for line in receiver.lines:
                if "confirmed" in line:
                    assert (line["status"], "<SubscriptionArn>arn:aws:sns:" in line["body"]) == (200, True), line

        hub.publish(*(event(f"m-{number}", "nfl/milestones/en", number) for number in numbers))
        hub.publish(event("s-fr", "nba/scoring/fr", 4), event("s-en", "nba/scoring/en", 1))
        hub.publish(event("other", "mlb/highs/en", 0), event("also", "nfl/highs/en", 0))
        hub.publish(event("last", "nba/scoring/es", 0))
        for (receiver, endpoint), form in ((raw, "raw"), (envelope, "envelope")):
            receiver.reached("insight", len(expected))
            wait_for(lambda one=endpoint: hub.endpoint_report(one.id)["backlog"] == 0, "all is answered")  # type: ignore[misc]
            pushed = [line for line in receiver.lines if "insight" in line]
            assert [line["verified"] for line in pushed] == [True] * len(expected)
            assert sorted(line["insight"] for line in pushed) == sorted(expected)
            assert {(line["form"], line["kind"]) for line in pushed} == {(form, "Notification")}
            assert {line.get("raw") for line in pushed} == {"true" if form == "raw" else None}
            content_type = "text/plain; charset=UTF-8" if form == "raw" else "application/json"
            assert {line["type"] for line in pushed} == {content_type}
            assert len({line["message"] for line in pushed}) == len(expected)

    for path, own in (
        (f"nfl/en/milestones/game/{GAME}", expected[: len(SPELLINGS)]),
        (f"nfl/en/milestones/team/{TEAM}", expected[: len(SPELLINGS)]),
        (f"nba/fr/scoring/game/{GAME}", [expected[len(SPELLINGS)]]),
    ):
        assert sorted(rest(program, hub, token, path)) == sorted(own), path

    many = [b'{"id":"p-%d","gameId":"another","n":%d.50}' % (number, number) for number in range(120)]
    hub.publish(*(cloud_event(f"p-{n}", "insights.insight", "nhl/highs/en", text) for n, text in enumerate(many)))
    items = rest(program, hub, token, "nhl/en/highs/game/another", pages=3)  # of 50, as the provider's
    assert sorted(items) == sorted(stringified(program, many))


def test_nothing_arrives_before_it_is_confirmed_and_nothing_after_it_has_ended(hub: Hub) -> None:
    hub.add_partner("desk", "insights")
    topics = ("nfl/milestones/en", "nfl/highs/en")
    with receiving(hub, topics, "--no-confirm", options={"delivery": "envelope"}) as (receiver, endpoint):
        asked = {line["asked"]: line["envelope"] for line in map(dict, _lines(receiver, "asked", 2))}
        (milestones,) = (arn for arn in asked if "NflMilestones" in arn)
        (highs,) = (arn for arn in asked if "NflHighs" in arn)
        hub.publish(event("early-1", "nfl/milestones/en"), event("early-2", "nfl/highs/en"))
        assert request("GET", asked[milestones]["SubscribeURL"]).status == 200
        hub.publish(event("unconfirmed", "nfl/highs/en", 1), event("first", "nfl/milestones/en", 1))
        (line,) = _lines(receiver, "insight", 1)
        assert (msgspec.json.decode(line["insight"])["id"], line["envelope"]["TopicArn"]) == ("i-2", milestones)

        first = request("GET", asked[highs]["SubscribeURL"])
        again = request("GET", asked[highs]["SubscribeURL"])
        assert (first.status, again.status) == (200, 200)
        assert _subscription(first.body) == _subscription(again.body)
        hub.publish(event("second", "nfl/highs/en", 2))
        second = _lines(receiver, "insight", 2)[1]
        assert msgspec.json.decode(second["insight"])["id"] == "i-3"

        assert request("GET", line["envelope"]["UnsubscribeURL"]).status == 200
        (ended,) = _lines(receiver, "ended", 1)
        assert ended["ended"] == milestones
        hub.publish(event("late", "nfl/milestones/en", 3), event("third", "nfl/highs/en", 4))
        third = _lines(receiver, "insight", 3)[2]
        assert msgspec.json.decode(third["insight"])["id"] == "i-5"
        assert request("GET", ended["envelope"]["SubscribeURL"]).status == 200  # and back again
        hub.publish(event("back", "nfl/milestones/en", 5))
        assert msgspec.json.decode(_lines(receiver, "insight", 4)[3]["insight"])["id"] == "i-6"
        wait_for(lambda: hub.endpoint_report(endpoint.id)["backlog"] == 0, "everything is answered")
        assert len(receiver.all("insight")) == 4


def test_a_token_that_is_wrong_or_of_another_topic_confirms_nothing(hub: Hub) -> None:
    hub.add_partner("desk", "insights")
    with Reception() as reception:
        hub.add_endpoint("desk", reception.url("desk"), "insights", "nfl/milestones/en", "nfl/highs/en")
        asked = sorted((item.json for item in reception.reached("desk", 2)), key=lambda told: told["TopicArn"])
        other, one = asked  # highs, milestones
        begin = one["SubscribeURL"].partition("&Token=")[0]
        refused = {token: request("GET", f"{begin}&Token={token}") for token in (other["Token"], "0" * 320, "")}
        for answer in refused.values():
            assert 400 <= answer.status < 500, answer
            assert b"<ErrorResponse" in answer.body, answer
        hub.publish(event("early", "nfl/milestones/en"))
        assert request("GET", one["SubscribeURL"]).status == 200
        hub.publish(event("first", "nfl/milestones/en", 1))
        got = reception.until("desk", lambda got: any("insight" in item.json for item in got), "an insight")
        assert [item.json["insight"]["id"] for item in got if "insight" in item.json] == ["i-2"]


@pytest.fixture
def authority(tmp_path: Path) -> tuple[trustme.CA, Path]:
    """A test authority and its certificate's file."""
    made, path = trustme.CA(), tmp_path / "ca.pem"
    made.cert_pem.write_to_path(str(path))
    return made, path


@pytest.fixture
def secure(make_hub: Callable[..., Hub], authority: tuple[trustme.CA, Path], tmp_path: Path) -> Hub:
    """A hub that speaks TLS, as the validators demand for the certificate."""
    need_package("express")
    need_package("sns-validator")
    leaf = authority[0].issue_cert("127.0.0.1")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    for blob in leaf.cert_chain_pems:
        blob.write_to_path(str(chain), append=True)
    leaf.private_key_pem.write_to_path(str(key))
    context = ssl.create_default_context(cafile=str(authority[1]))
    return make_hub(*LOOPBACK, "--tls-cert", chain, "--tls-key", key, scheme="https", context=context)


@pytest.mark.parametrize("version", ["1", "2"])
def test_independent_validators_accept_our_sns_messages(
    secure: Hub, authority: tuple[trustme.CA, Path], version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca_file = str(authority[1])
    secure.add_partner("desk", "insights")
    options = {"delivery": "envelope", "signature_version": version}
    settings = {"NODE_EXTRA_CA_CERTS": ca_file, "SNS_HOST": rf"127\.0\.0\.1:{secure.port}"}
    with receiving(secure, ["nba/scoring/*"], options=options, **settings) as (receiver, _):
        receiver.reached("confirmed", 5)
        secure.publish(*(event(f"s-{locale}", f"nba/scoring/{locale}", 4) for locale in ("en", "fr", "de", "it", "es")))
        receiver.reached("insight", 5)
        line = next(line for line in receiver.lines if "insight" in line)
        assert request("GET", line["envelope"]["UnsubscribeURL"], context=secure.context).status == 200
        receiver.reached("ended", 1)
        messages = [line for line in receiver.lines if "envelope" in line]
    kinds = [line["envelope"]["Type"] for line in messages]
    assert sorted(set(kinds)) == ["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"]
    assert {line["envelope"]["SignatureVersion"] for line in messages} == {version}
    # npm's leaves the token out of what it hashes for an UnsubscribeConfirmation (insights sheet 7): a slip there.
    assert {line["sns"] for line in messages if line["envelope"]["Type"] != "UnsubscribeConfirmation"} == {"ok"}

    if version == "1":  # PyPI's knows SHA-1 alone
        library = pytest.importorskip("sns_message_validator")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", ca_file)
        validator = library.SNSMessageValidator(cert_url_regex=f"^https://127\\.0\\.0\\.1:{secure.port}/")
        for line in messages:
            validator.validate_message(line["envelope"])
        changed = {**messages[0]["envelope"], "Token": "0" * 320, "MessageId": "another"}
        with pytest.raises(library.SignatureVerificationFailureException):
            validator.validate_message(changed)


def _lines(receiver: Program, name: str, count: int) -> list[dict[str, Any]]:
    """The lines that have a member, as soon as there are so many."""
    receiver.reached(name, count)
    return [line for line in receiver.lines if name in line][:count]


def _subscription(xml: bytes) -> bytes:
    return xml.partition(b"<SubscriptionArn>")[2].partition(b"</SubscriptionArn>")[0]
