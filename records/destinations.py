"""Where webhooks may lead: the service must not be talked into sending requests to its own network.

A team chooses the address of a webhook, and a worker sends the request. Without this check, a team could
reach what only the worker reaches: other services of its network, or a cloud's metadata. So:

- A webhook leads to a public address by https. Operators may allow networks beside (`webhook_networks`), and
  these also without TLS.
- The name is resolved once for each attempt, all its addresses are checked, and the worker connects to one of
  the checked addresses. A second look-up could answer otherwise (DNS rebinding).
- The resolved address is checked, and not the text. So `2130706433`, `0x7f.1` and `::ffff:127.0.0.1` are what
  they mean.
- A redirect is not followed.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from vcp_core.catalog.errors import VcpbenchError
from vcp_core.catalog.validation import quoted

Network = IPv4Network | IPv6Network
PORTS = {"https": 443, "http": 80}
MOST_CHARACTERS = 2000
# The IPv6 addresses that are given out. Outside are loopback, local and multicast addresses, and the two
# prefixes that hold an IPv4 address (::ffff:0:0/96 and 64:ff9b::/96).
GIVEN_OUT = IPv6Network("2000::/3")


class DestinationRefused(VcpbenchError):
    """A webhook leads where it must not, or nowhere."""


@dataclass(frozen=True, kw_only=True)
class Destination:
    """The parts of a webhook's address; `target` is its path with its query."""

    scheme: str
    host: str
    port: int
    target: str

    def __str__(self) -> str:
        """The address without its path, which may hold a secret.

        >>> str(parse("https://hooks.slack.com/services/T0/B0/secret"))
        'https://hooks.slack.com'
        """
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


def parse(url: str) -> Destination:
    """Read the address of a webhook.

    Raises:
        DestinationRefused: If it is none. The message does not repeat the address's path.

    >>> parse("https://ci.example/vcpbench?for=us")
    Destination(scheme='https', host='ci.example', port=443, target='/vcpbench?for=us')
    """
    if not (url.isascii() and url.isprintable()) or " " in url or len(url) > MOST_CHARACTERS:
        raise DestinationRefused(
            f"A webhook's URL has at most {MOST_CHARACTERS} characters, all ASCII, and no spaces. Write a "
            "host in another script as its xn-- name, and escape the rest by %."
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise DestinationRefused(f"The webhook's URL cannot be read: {error}.") from None
    if parts.scheme not in PORTS or not host or port == 0:
        raise DestinationRefused("A webhook's URL begins with https://HOST, or with https://HOST:PORT.")
    if "@" in parts.netloc or parts.fragment:
        raise DestinationRefused("A webhook's URL has neither a user nor a password nor a # part.")
    return Destination(
        scheme=parts.scheme, host=host, port=port or PORTS[parts.scheme], target=_target(parts)
    )


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def check_early(destination: Destination, allowed: Iterable[Network]) -> None:
    """Refuse what needs no look-up of a name: http, and the number of an address that is not allowed.

    Raises:
        DestinationRefused: If a worker would refuse it.
    """
    allowed = tuple(allowed)
    if destination.scheme == "http" and not allowed:
        raise _no_tls(destination)
    if found := _look_up(destination, socket.AI_NUMERICHOST):
        check(destination, found, allowed)


def resolve(destination: Destination, allowed: Iterable[Network]) -> Sequence[str]:
    """Look up the addresses of a destination, once. A worker connects to one of these and to no other.

    Raises:
        DestinationRefused: If the name has no address, or one that is not allowed.
    """
    found = _look_up(destination, 0)
    if not found:
        raise DestinationRefused(f"{destination.host} has no address")
    check(destination, found, tuple(allowed))
    return found


def check(destination: Destination, addresses: Iterable[str], allowed: Sequence[Network]) -> None:
    """Make sure that a webhook may connect to all these addresses.

    Raises:
        DestinationRefused: If it may not connect to one of them.
    """
    for text in addresses:
        address = _plain(text)
        if any(address in network for network in allowed):
            continue
        if not is_public(address):
            raise DestinationRefused(
                f"{quoted(destination.host)} leads to {address}, which is no public address. An operator can "
                "allow its network: VCPBENCH_WEBHOOK_NETWORKS."
            )
        if destination.scheme == "http":
            raise _no_tls(destination)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address belongs to the public internet, and to nothing inside it that leads back.

    >>> is_public(ip_address("8.8.8.8")), is_public(ip_address("169.254.169.254"))
    (True, False)
    """
    if isinstance(address, IPv6Address) and (
        address not in GIVEN_OUT or address.sixtofour is not None or address.teredo is not None
    ):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _plain(text: str) -> IPv4Address | IPv6Address:
    """An address; the IPv4 address that an IPv6 address only wraps."""
    address = ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _look_up(destination: Destination, flags: int) -> Sequence[str]:
    try:
        found = socket.getaddrinfo(destination.host, destination.port, type=socket.SOCK_STREAM, flags=flags)
    except (OSError, UnicodeError):  # no such name, or none that DNS can carry
        return ()
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


def _no_tls(destination: Destination) -> DestinationRefused:
    return DestinationRefused(
        f"{destination} has no TLS. Use https. An operator can allow http within a network: "
        "VCPBENCH_WEBHOOK_NETWORKS."
    )
