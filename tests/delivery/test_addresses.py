"""Which addresses are refused, and how an endpoint's URL is judged and written. FAULTS 9."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchline.delivery.courier.addresses import URL_LENGTH, check_url, refusal


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "unspecified"),
        ("10.255.255.255", "private"),
        ("100.64.0.0", "CGNAT"),
        ("100.100.100.200", "CGNAT"),
        ("100.127.255.255", "CGNAT"),
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("169.254.169.254", "metadata"),
        ("169.254.1.1", "link-local"),
        ("168.63.129.16", "metadata"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.0.0.192", "protocols"),
        ("192.0.2.1", "documentation"),
        ("192.88.99.1", "6to4"),
        ("192.168.1.1", "private"),
        ("198.18.0.1", "benchmarks"),
        ("198.19.255.255", "benchmarks"),
        ("198.51.100.1", "documentation"),
        ("203.0.113.1", "documentation"),
        ("224.0.0.1", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "broadcast"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::7f00:1", "IPv4-compatible"),
        ("::808:808", "IPv4-compatible"),
        ("::ffff:10.0.0.1", "10.0.0.1 is private"),
        ("::ffff:0:808:808", "reserved"),
        ("64:ff9b::a00:1", "private, behind a gateway"),
        ("64:ff9b:1::808:808", "local gateway"),
        ("100::1", "discarded"),
        ("2001::1", "Teredo"),
        ("2001:10::1", "protocols"),
        ("2001:db8::1", "documentation"),
        ("2002:808:808::1", "6to4"),
        ("2002:7f00:1::", "6to4"),
        ("3fff::1", "documentation"),
        ("4000::1", "reserved"),
        ("5f00::1", "reserved"),
        ("fc00::1", "unique local"),
        ("fd00:ec2::254", "metadata"),
        ("fe80::1", "link-local"),
        ("fec0::1", "site-local"),
        ("ff02::1", "multicast"),
    ],
)
def test_refused(text: str, reason: str) -> None:
    said = refusal(ip_address(text), ())
    assert said is not None
    assert reason in said
    assert "--allow-network" in said


@pytest.mark.parametrize(
    "text",
    [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.1",
        "172.15.255.255",
        "172.32.0.0",
        "223.255.255.255",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2001:4860:4860::8888",
        "2600::1",
        "2a00:1450::1",
    ],
)
def test_public_addresses_are_open(text: str) -> None:
    assert refusal(ip_address(text), ()) is None


@given(st.ip_addresses())
def test_never_less_strict_than_the_standard_library(address: IPv4Address | IPv6Address) -> None:
    if refusal(address, ()) is None and not (isinstance(address, IPv6Address) and str(address).startswith("64:ff9b:")):
        plain = getattr(address, "ipv4_mapped", None) or address
        assert plain.is_global
        assert not any((plain.is_multicast, plain.is_reserved, plain.is_unspecified, plain.is_link_local))


@pytest.mark.parametrize(
    ("network", "opened", "closed"),
    [
        ("127.0.0.0/8", ["127.0.0.1", "::ffff:127.0.0.1"], ["::1", "10.0.0.1", "64:ff9b::7f00:1", "::7f00:1"]),
        ("10.1.0.0/16", ["10.1.2.3"], ["10.2.0.1", "64:ff9b::a01:203", "2002:a01:203::1"]),
        ("0.0.0.0/0", ["169.254.169.254", "10.0.0.1"], ["::1", "fd00:ec2::254", "64:ff9b::a00:1"]),
        ("64:ff9b::/96", ["64:ff9b::a00:1"], ["10.0.0.1", "64:ff9b:1::1"]),
        ("fd00::/8", ["fd12::1"], ["fc00::1", "fe80::1"]),
    ],
)
def test_a_range_opens_what_it_says_and_no_more(network: str, opened: list[str], closed: list[str]) -> None:
    allowed = (ip_network("192.168.7.0/24"), ip_network(network))
    assert [text for text in opened if refusal(ip_address(text), allowed) is not None] == []
    assert [text for text in closed if refusal(ip_address(text), allowed) is None] == []


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("https://example.com", "https://example.com/"),
        ("HTTPS://Example.COM:443/Path", "https://example.com/Path"),
        ("http://example.com:80?", "http://example.com/?"),
        ("http://example.com:0080/", "http://example.com/"),
        ("http://example.com:8443/", "http://example.com:8443/"),
        ("https://example.com:/x", "https://example.com/x"),
        ("https://example.com./x", "https://example.com/x"),
        ("https://bücher.example/x", "https://xn--bcher-kva.example/x"),
        ("https://EXAMPLE。com/", "https://example.com/"),
        ("https://a_b.example/", "https://a_b.example/"),
        ("http://8.8.8.8/", "http://8.8.8.8/"),
        ("http://134744072/", "http://8.8.8.8/"),
        ("http://0x8.010.2056/", "http://8.8.8.8/"),
        ("http://8.8.8.8./", "http://8.8.8.8/"),
        ("http://[::ffff:8.8.8.8]:81/", "http://8.8.8.8:81/"),
        ("http://[2001:4860:4860:0:0:0:0:8888]/", "http://[2001:4860:4860::8888]/"),
        (
            "https://h.example/a/../b//%7e;x?q=%2F&&r=a+b'\"<>[]{}|^`",
            "https://h.example/a/../b//%7e;x?q=%2F&&r=a+b'\"<>[]{}|^`",
        ),
    ],
)
def test_urls_as_they_are_written(url: str, written: str) -> None:
    assert check_url(url, ()) == written
    assert check_url(written, ()) == written


LOOPBACKS = [
    "127.0.0.1",
    "127.0.0.1.",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "0x7f.1",
    "0X7F000001",
    "127.1",
    "127.0.1",
    "１２７.0.0.1",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "localhost",
    "LOCALHOST.",
    "some.localhost",
]


@pytest.mark.parametrize("host", LOOPBACKS)
@pytest.mark.parametrize("rest", ["", ":8080/x"])
def test_loopback_in_any_spelling(host: str, rest: str) -> None:
    with pytest.raises(ValueError, match="--allow-network"):
        check_url(f"http://{host}{rest}", ())


def test_an_allowed_loopback() -> None:
    allowed = (ip_network("127.0.0.0/8"),)
    assert check_url("http://2130706433:81/x", allowed) == "http://127.0.0.1:81/x"
    assert check_url("http://localhost:81/x", allowed) == "http://localhost:81/x"
    with pytest.raises(ValueError, match="--allow-network"):
        check_url("http://[::1]/", allowed)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "http://"),
        ("example.com/x", "http://"),
        ("ftp://example.com/", "http://"),
        ("file:///etc/passwd", "http://"),
        ("https:/example.com", "http://"),
        ("javascript:alert(1)", "http://"),
        ("https://", "no host"),
        ("https:///path", "no host"),
        ("https://:443/", "no host"),
        ("https://./", "no host"),
        ("https://user@example.com/", "user name"),
        ("https://user:password@example.com/", "user name"),
        ("https://example.com@10.0.0.1/", "user name"),
        ("https://example.com/#", "fragment"),
        ("https://example.com/?a#b", "fragment"),
        ("https://example.com:0/", "port"),
        ("https://example.com:65536/", "port"),
        ("https://example.com:-1/", "port"),
        ("https://example.com:8x/", "port"),
        ("https://example.com:٣/", "port"),
        ("https://exa mple.com/", "spaces"),
        ("https://example.com/a b", "spaces"),
        (" https://example.com/", "spaces"),
        ("https://example.com/\r\nHost: internal", "control"),
        ("https://example.com/\t", "control"),
        ("https://example.com/\x7f", "control"),
        ("https://example.com/\0", "control"),
        ("https://example.com\\@10.0.0.1/", "backslash"),
        ("https://example.com/ü", "percent-encode"),
        ("https://example.com/?q=ü", "percent-encode"),
        ("https://exa%6dple.com/", "no domain name"),
        ("https://a..b/", "no domain name"),
        ("https://-a.example/", "no domain name"),
        ("https://example.com../", "no domain name"),
        (f"https://{'a' * 64}.example/", "no domain name"),
        (f"https://{'a.' * 130}example/", "no domain name"),
        (f"https://{'ü' * 64}.example/", "international"),
        ("https://1.2.3.4.5/", "no IPv4"),
        ("https://256.1.1.1/", "no IPv4"),
        ("https://1.1.1.256/", "no IPv4"),
        ("https://4294967296/", "no IPv4"),
        ("https://08.1.1.1/", "no IPv4"),
        ("https://example.1/", "no IPv4"),
        ("https://0x/", "no IPv4"),
        ("https://[::1/", "brackets"),
        ("https://[::g]/", "no IPv6"),
        ("https://[::1]x/", "brackets"),
        ("https://[fe80::1%25eth0]/", "zone"),
        ("https://[fe80::1%eth0]/", "zone"),
        ("https://" + "a" * URL_LENGTH, "longer than 2048"),
    ],
)
def test_urls_that_are_refused(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_url(url, ())


def test_the_length_that_is_allowed() -> None:
    url = "https://example.com/"
    url += "x" * (URL_LENGTH - len(url))
    assert check_url(url, ()) == url
    with pytest.raises(ValueError, match="longer"):
        check_url(url.replace(".com/x", ".com?x", 1), ())  # the slash that is added is one too many


@given(st.text(max_size=60))
def test_any_text_is_judged(text: str) -> None:
    for url in (text, "http://" + text, "https://example.com/" + text):
        try:
            written = check_url(url, ())
        except ValueError:
            continue
        assert check_url(written, ()) == written
        assert written.isascii()
        assert written.isprintable()


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_in_other_spellings_is_the_same(address: IPv4Address) -> None:
    allowed = (ip_network("0.0.0.0/0"),)
    one, two, three, four = address.packed
    for host in (
        str(int(address)),
        hex(int(address)),
        f"{one}.{int(address) & 0xFFFFFF}",
        f"0{one:o}.0x{two:x}.{three}.{four}",
        f"[::ffff:{address}]",
    ):
        assert check_url(f"http://{host}", allowed) == f"http://{address}/"
