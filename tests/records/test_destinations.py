"""A webhook must not reach the installation's own network, however its address is written."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from records import destinations
from records.destinations import DestinationRefused, check, check_early, is_public, parse, resolve

PRIVATE = (
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.9.9.9", "169.254.169.254", "172.16.0.1",
    "192.0.0.1", "192.168.1.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1",
    "2002:7f00:1::", "2001:0:7f00:1::", "2001:db8::1", "fc00::1", "fd12::1", "fe80::1", "fec0::1", "ff02::1",
)  # fmt: skip
PUBLIC = ("1.1.1.1", "8.8.8.8", "93.184.215.14", "2606:4700:4700::1111", "2a00:1450:4001:82a::200e")


@pytest.mark.parametrize("text", PRIVATE)
def test_an_address_inside_is_refused(text: str) -> None:
    with pytest.raises(DestinationRefused, match="no public address"):
        check(parse("https://inside.example/"), [text], ())


@pytest.mark.parametrize("text", PUBLIC)
def test_an_address_outside_is_allowed(text: str) -> None:
    assert is_public(ip_address(text))
    check(parse("https://outside.example/"), [text], ())


def test_one_private_address_among_public_ones_is_refused() -> None:
    with pytest.raises(DestinationRefused, match=r"leads to 10\.0\.0\.1"):
        check(parse("https://both.example/"), ["8.8.8.8", "10.0.0.1"], ())


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "0", "[::1]",
        "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "169.254.169.254", "2852039166", "192.168.1.1",
    ],
)  # fmt: skip
def test_a_number_that_means_a_private_address_is_refused_when_the_webhook_is_made(host: str) -> None:
    with pytest.raises(DestinationRefused, match="no public address"):
        check_early(parse(f"https://{host}/"), ())


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost."])
def test_a_name_that_leads_to_a_private_address_is_refused_when_it_is_looked_up(host: str) -> None:
    check_early(parse(f"https://{host}/"), ())  # the API looks up no name
    with pytest.raises(DestinationRefused, match=r"no public address|has no address"):
        resolve(parse(f"https://{host}/"), ())


def test_a_name_without_an_address_is_refused() -> None:
    with pytest.raises(DestinationRefused, match=r"no-such-name\.invalid has no address"):
        resolve(parse("https://no-such-name.invalid/"), ())


def test_an_operator_allows_networks_and_within_these_http() -> None:
    allowed = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    for text in ("10.1.2.3", "::ffff:10.1.2.3", "fd00::1"):
        check(parse("http://inside.example/"), [text], allowed)
    for text in ("127.0.0.1", "169.254.169.254", "fe80::1"):
        with pytest.raises(DestinationRefused, match="no public address"):
            check(parse("https://inside.example/"), [text], allowed)
    with pytest.raises(DestinationRefused, match="has no TLS"):
        check(parse("http://outside.example/"), ["8.8.8.8"], allowed)
    with pytest.raises(DestinationRefused, match="has no TLS"):
        check_early(parse("http://inside.example/"), ())
    check_early(parse("http://inside.example/"), allowed)


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "/hook", "ftp://host/", "file:///etc/passwd", "gopher://host/", "https://", "https:///path",
        "https://user:password@host/", "https://user@host/", "https://host/#part", "https://host:0/",
        "https://host:99999/", "https://host:x/", "https://[::1/", "https://ho st/", "https://host/\n",
        "https://host/\r\nX: y", "https://höst/", f"https://host/{'x' * 2000}",
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_webhook_is_refused(url: str) -> None:
    with pytest.raises(DestinationRefused, match="webhook's URL"):
        parse(url)


def test_a_url_is_taken_apart() -> None:
    found = parse("https://[2606:4700::1]:8443/a/b?c=d")
    assert (found.host, found.port, found.target) == ("2606:4700::1", 8443, "/a/b?c=d")
    assert str(found) == "https://[2606:4700::1]:8443"
    assert str(parse("http://host:80")) == "http://host"
    assert parse("https://host").target == "/"
    assert destinations.PORTS["https"] == 443
