from __future__ import annotations

import pytest

from tunesmith.errors import Invalid
from tunesmith.storage.sources import SOURCES
from tunesmith.transport.access.bind_rules import check_bind, check_http_bind, check_upstream


@pytest.mark.parametrize(
    "address",
    [
        "tcp://127.0.0.1:5555",
        "tcp://127.8.9.1:0",
        "tcp://127.0.0.1:*",
        "tcp://localhost:1",
        "tcp://lo:1",
        "tcp://[::1]:65535",
        "tcp://[::ffff:127.0.0.1]:1",
        "ipc:///run/tunesmith/requests",
        "ipc://@abstract",
        "inproc://requests",
    ],
)
def test_this_machine_alone_needs_no_leave(address: str) -> None:
    check_bind(address, "server.requests")


@pytest.mark.parametrize(
    "address",
    [
        "tcp://0.0.0.0:5555",
        "tcp://*:5555",
        "tcp://[::]:5555",
        "tcp://[::ffff:10.0.0.1]:5555",
        "tcp://192.168.1.2:5555",
        "tcp://[fe80::1%eth0]:5555",
        "tcp://eth0:5555",
        "tcp://bots.example:5555",
        "tcp://localhost.example:5555",
        "tcp://0x7f000001:5555",
        "tcp://127.1:5555",
        "tcp://0:5555",
    ],
)
def test_what_others_can_reach_is_refused_until_it_is_allowed(address: str) -> None:
    with pytest.raises(Invalid, match=r"server\.events.*other machines.*insecure_bind"):
        check_bind(address, "server.events")
    check_bind(address, "server.events", insecure_bind=True)
    check_bind(address, "server.events", keyed=True)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "127.0.0.1:5555",
        "http://127.0.0.1:5555",
        "udp://127.0.0.1:5555",
        "pgm://eth0;239.192.1.1:5555",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:",
        "tcp://:5555",
        "tcp://127.0.0.1:65536",
        "tcp://127.0.0.1:-1",
        "tcp://127.0.0.1:٣",
        "tcp://::1:5555",
        "ipc://",
        "inproc://",
    ],
)
def test_what_is_no_address_is_refused_anyway(address: str) -> None:
    with pytest.raises(Invalid, match=r"server\.inbox"):
        check_bind(address, "server.inbox", insecure_bind=True)


def test_http_follows_the_same_rule() -> None:
    assert check_http_bind("127.0.0.1:8080", "server.http") == ("127.0.0.1", 8080)
    assert check_http_bind("[::1]:*", "server.http") == ("::1", 0)
    assert check_http_bind("*:80", "server.http", insecure_bind=True) == ("", 80)
    for address in ("0.0.0.0:80", "*:80", "[::]:80", "example.com:80"):
        with pytest.raises(Invalid, match=r"server\.http.*other machines"):
            check_http_bind(address, "server.http")
    for address in ("8080", "localhost", "localhost:http", ":80"):
        with pytest.raises(Invalid, match=r"server\.http"):
            check_http_bind(address, "server.http", insecure_bind=True)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "tcp://127.0.0.1:5560",
        "tcp://[::1]:5560",
        "ipc:///run/bars",
        "http://localhost:80/x",
        "https://example.org/x",
    ],
)
def test_an_upstream_here_or_one_that_proves_itself_is_taken(address: str) -> None:
    check_upstream(address, SOURCES)


@pytest.mark.parametrize("address", ["tcp://192.0.2.1:5560", "http://example.org/", "http://127.0.0.1.example.org/"])
def test_an_upstream_elsewhere_needs_the_fence(address: str) -> None:
    with pytest.raises(Invalid, match="insecure_upstream"):
        check_upstream(address, SOURCES)
    check_upstream(address, SOURCES, insecure=True)


@pytest.mark.parametrize("address", ["127.0.0.1:5560", "tcp://", "ftp://127.0.0.1/x", "file:///etc/passwd"])
def test_an_upstream_that_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(Invalid, match="no address"):
        check_upstream(address, SOURCES, insecure=True)
