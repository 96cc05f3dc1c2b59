"""Which addresses a webhook may not go to, and how the URL of an endpoint is written. Pure: no name is looked up here.

What ``check_url`` lets through is judged again by ``refusal`` whenever a socket is opened, with the address that the
name then had. Operators open ranges with the setting ``allow_network``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

URL_LENGTH: Final = 2048

_REFUSED_4: Final = tuple(
    (ipaddress.IPv4Network(text), reason)
    for text, reason in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by a carrier's customers (CGNAT)"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.169.254/32", "a cloud's metadata service"),
        ("169.254.0.0/16", "link-local"),
        ("168.63.129.16/32", "a cloud's metadata service"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved for protocols"),
        ("192.0.2.0/24", "for documentation"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("255.255.255.255/32", "broadcast"),
        ("240.0.0.0/4", "reserved"),
    )
)
_REFUSED_6: Final = tuple(
    (ipaddress.IPv6Network(text), reason)
    for text, reason in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::/96", "IPv4-compatible"),
        ("64:ff9b:1::/48", "translated to IPv4 by a local gateway (NAT64)"),
        ("100::/64", "discarded"),
        ("2001::/32", "a Teredo tunnel"),
        ("2001::/23", "reserved for protocols"),
        ("2001:db8::/32", "for documentation"),
        ("2002::/16", "a 6to4 tunnel"),
        ("3fff::/20", "for documentation"),
        ("fd00:ec2::254/128", "a cloud's metadata service"),
        ("fc00::/7", "unique local"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")

_URL: Final = re.compile(r"(https?)://([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?", re.IGNORECASE | re.DOTALL)
_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PARTS: Final = ((re.compile(r"0x[0-9a-f]+"), 16), (re.compile(r"0[0-7]*"), 8), (re.compile(r"[1-9][0-9]*"), 10))
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def _is_allowed(address: Address, allowed: Sequence[Network]) -> bool:
    return any(address in network for network in allowed)


def _reason_4(address: ipaddress.IPv4Address) -> str | None:
    return next((reason for network, reason in _REFUSED_4 if address in network), None)


def _reason_6(address: ipaddress.IPv6Address) -> str | None:
    if address in _NAT64:
        reason = _reason_4(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        return reason and f"{reason}, behind a gateway to IPv4 (NAT64)"
    known = next((reason for network, reason in _REFUSED_6 if address in network), None)
    return known or (None if address in _GLOBAL_UNICAST else "reserved")


def refusal(address: Address, allowed: Sequence[Network]) -> str | None:
    """Why no webhook goes to an address, in words for the operator; None when it may.

    An IPv4-mapped address is the IPv4 address: the kernel connects to that. The IPv4 address within a NAT64 one is
    another network's: it must be public, and ``allowed`` IPv4 ranges do not open it (a range of 64:ff9b::/96 does).
    6to4, Teredo, IPv4-compatible and local NAT64 addresses are refused whatever they hold.
    """
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    if isinstance(address, ipaddress.IPv4Address):
        reason = _reason_4(address)
    else:
        reason = _reason_6(address)
    if reason is None or _is_allowed(address, allowed):
        return None
    return f"{address} is {reason}; the operator may allow its range with --allow-network"


def _numeric_ipv4(host: str) -> ipaddress.IPv4Address:
    """An IPv4 address as the C library's ``inet_aton`` reads it: one to four decimal, octal or hex parts."""
    numbers = []
    for part in host.split("."):
        base = next((base for pattern, base in _PARTS if pattern.fullmatch(part)), None)
        if base is None:
            raise ValueError(f"the host {host!r} ends in a number, but is no IPv4 address")
        numbers.append(int(part, base))
    *firsts, last = numbers
    if len(firsts) > 3 or any(number > 255 for number in firsts) or last >= 256 ** (4 - len(firsts)):
        raise ValueError(f"the host {host!r} ends in a number, but is no IPv4 address")
    value = last
    for index, number in enumerate(firsts):
        value |= number << (8 * (3 - index))
    return ipaddress.IPv4Address(value)


def _literal_ipv6(text: str) -> Address:
    if "%" in text:
        raise ValueError("an address with a zone is good on one machine only; give one without")
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise ValueError(f"[{text}] is no IPv6 address") from None
    return address.ipv4_mapped or address


def _name(host: str) -> str:
    """A host name in ASCII and lower case. Raises ValueError."""
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            raise ValueError(f"the host {host!r} is no international domain name") from None
    host = host.lower().removesuffix(".")
    if not host:
        raise ValueError("the URL has no host")
    if len(host) > 253 or not all(map(_LABEL.fullmatch, host.split("."))):
        raise ValueError(f"the host {host[:80]!r} is no domain name")
    return host


def _host(text: str, allowed: Sequence[Network]) -> str:
    """The host as it stands in the normalised URL, judged as far as it can be without a look-up. Raises ValueError."""
    if text.startswith("["):
        if not text.endswith("]"):
            raise ValueError("an IPv6 address stands in brackets, and nothing but a port behind it")
        addresses: tuple[Address, ...] = (_literal_ipv6(text[1:-1]),)
        host = f"[{addresses[0]}]" if addresses[0].version == 6 else str(addresses[0])
    else:
        host = _name(text)
        if _NUMERIC.fullmatch(host.rpartition(".")[2]):
            addresses = (_numeric_ipv4(host),)
            host = str(addresses[0])
        elif host == "localhost" or host.endswith(".localhost"):
            addresses = (ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv6Address("::1"))
        else:
            return host
    reasons = [refusal(address, allowed) for address in addresses]
    if all(reasons):
        raise ValueError(reasons[0])
    return host


def _port(text: str, scheme: str) -> str:
    """``:port``, or '' for the scheme's own. Raises ValueError."""
    if not text:
        return ""
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise ValueError("the port must be a number from 1 to 65535")
    return "" if int(text) == _DEFAULT_PORTS[scheme] else f":{int(text)}"


def check_url(url: str, allowed: Sequence[Network]) -> str:
    """The URL of a webhook endpoint, normalised: scheme, host and port as they are compared, path and query untouched.

    A literal address is judged at once, in any spelling that a resolver would take; a name only when it is connected
    to. Raises ValueError, with the reason in words, for what is no http or https URL or leads to a refused address.
    """
    if len(url) > URL_LENGTH:
        raise ValueError(f"the URL is longer than {URL_LENGTH} characters")
    if any(ord(character) <= 0x20 or ord(character) == 0x7F for character in url):
        raise ValueError("the URL holds spaces or control characters; percent-encode them")
    if "\\" in url:
        raise ValueError("the URL holds a backslash; percent-encode it")
    match = _URL.fullmatch(url)
    if match is None:
        raise ValueError("the URL must begin with http:// or https://")
    scheme, authority, path, query, fragment = match.groups()
    scheme = scheme.lower()
    if fragment is not None:
        raise ValueError("the URL must not have a fragment (#…)")
    if "@" in authority:
        raise ValueError("the URL must not hold a user name or password; use a header or the query")
    if not (path.isascii() and (query or "").isascii()):
        raise ValueError("path and query must be ASCII; percent-encode the rest")
    host, colon, port = authority.rpartition(":")
    if not colon or "]" in port:
        host, port = authority, ""
    if not host:
        raise ValueError("the URL has no host")
    checked = f"{scheme}://{_host(host, allowed)}{_port(port, scheme)}{path or '/'}{query or ''}"
    if len(checked) > URL_LENGTH:
        raise ValueError(f"the URL is longer than {URL_LENGTH} characters")
    return checked
