"""Who may reach a socket: addresses beyond this machine are refused unless something fences them."""

from __future__ import annotations

import ipaddress
from collections.abc import Container
from urllib.parse import urlsplit

from tunesmith.errors import Invalid

LOCAL_SCHEMES = ("ipc", "inproc")
_LOOPBACK_NAMES = ("localhost", "lo")
_ANY_PORT = ("0", "*")


def check_bind(address: str, setting: str, *, insecure_bind: bool = False, keyed: bool = False) -> None:
    """Refuse a ZeroMQ address that other machines can reach, unless `insecure_bind` or `keyed` (CURVE) allows it.

    `tcp://` needs a loopback address; a host name other than localhost counts as reachable, for it may come to mean
    anything. `ipc://` and `inproc://` never leave the machine. Raises `Invalid` that names the `setting`.
    """
    scheme, separator, rest = address.partition("://")
    if separator and scheme in LOCAL_SCHEMES:
        if not rest:
            raise Invalid(f"{setting} = {address!r}: a name must follow {scheme}://")
        return
    if not separator or scheme != "tcp":
        raise Invalid(f"{setting} = {address!r} is no address; write tcp://host:port, ipc://path or inproc://name")
    host, _ = split_host_port(rest, setting)
    _fence(host, address, setting, insecure_bind or keyed)


def check_http_bind(address: str, setting: str, *, insecure_bind: bool = False, keyed: bool = False) -> tuple[str, int]:
    """The host and port of an HTTP address `host:port`, refused by the same rule; port 0 or `*` means a free one."""
    host, port = split_host_port(address, setting)
    _fence(host, address, setting, insecure_bind or keyed)
    return ("" if host == "*" else host), port


def check_upstream(address: str, schemes: Container[str], *, insecure: bool = False) -> None:
    """Refuse the address of an upstream data service that is none, or that needs `sources.insecure_upstream`.

    `schemes` are those that there is a source for.

    `https` proves who answers; `tcp` and `http` are for this machine unless `insecure` allows them. Raises `Invalid`.
    """
    if not address:
        return
    scheme, separator, rest = address.partition("://")
    if not separator or not rest or scheme not in schemes:
        raise Invalid(f"sources.upstream = {address!r} is no address; write tcp://host:port or http://host:port/path")
    if scheme in ("tcp", "http"):
        host = urlsplit(address).hostname or ""
        if not is_loopback(host) and not insecure:
            raise Invalid(
                f"sources.upstream = {address!r} is beyond this machine and nothing proves who answers there; use "
                "https, or set insecure_upstream = true if a private network is the fence"
            )


def split_host_port(text: str, setting: str) -> tuple[str, int]:
    """`host:port` in its parts, IPv6 in brackets, `*` as port meaning 0; raises `Invalid`."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise Invalid(f"{setting} = {text!r}: write an IPv6 address in brackets, such as [::1]:5555")
    if not colon or not host:
        raise Invalid(f"{setting} = {text!r} must be host:port")
    if port in _ANY_PORT:
        return host, 0
    if not (port.isascii() and port.isdigit() and int(port) <= 65_535):
        raise Invalid(f"{setting} = {text!r}: {port!r} is no port (1 to 65535, or 0 for a free one)")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether `host` surely means this machine alone."""
    if host.lower() in _LOOPBACK_NAMES:
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _fence(host: str, address: str, setting: str, allowed: bool) -> None:
    if allowed or is_loopback(host):
        return
    raise Invalid(
        f"{setting} = {address!r} can be reached from other machines and nothing there asks who comes; bind to "
        "127.0.0.1, or set insecure_bind = true if a private network is the fence"
    )
