"""Peers that are silent, half there, gone or hostile: they are cut off, and nobody else notices."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import zmq

from transport.rooms import Bot, Room, body
from transport.zmq.test_request_sockets import ask, until
from tunesmith.config import Events
from tunesmith.transport.zmq import endpoints

GREETING = b"\xff" + b"\0" * 8 + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" * 32
READY = b"\x05READY"
CUT_S = 10.0


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    """Doors that lose patience soon."""
    monkeypatch.setattr(endpoints, "HANDSHAKE_MS", 300)
    monkeypatch.setattr(endpoints, "HEARTBEAT_MS", 100)
    monkeypatch.setattr(endpoints, "HEARTBEAT_TIMEOUT_MS", 300)
    with Room(events=Events(heartbeat_s=0.05, high_water_mark=50)) as room:
        yield room


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def raw(sockets: ExitStack, endpoint: str) -> socket.socket:
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    return sockets.enter_context(socket.create_connection((host, int(port)), timeout=CUT_S))


def shaken(sockets: ExitStack, endpoint: str, kind: bytes) -> socket.socket:
    """A peer of ZMTP 3 that has shaken hands, by hand: nothing answers in its place."""
    peer = raw(sockets, endpoint)
    properties = b"\x0bSocket-Type" + len(kind).to_bytes(4, "big") + kind
    command = READY + properties
    peer.sendall(GREETING + b"\x04" + bytes([len(command)]) + command)
    got = b""
    while READY not in got:
        got += peer.recv(4096)
    return peer


def is_cut(peer: socket.socket) -> bool:
    """Whether the other side ends the connection, whatever it sends before."""
    try:
        while peer.recv(65_536):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return True


def is_served(room: Room, bot: Bot) -> bool:
    reply = json.loads(ask(bot.socket(zmq.REQ, room.requests.endpoint), body())[0])
    return bool(reply["ok"])


def test_five_hundred_silent_connections_are_cut_and_nobody_waits(room: Room, bot: Bot, sockets: ExitStack) -> None:
    silent = [raw(sockets, room.requests.endpoint) for _ in range(500)]
    honest = bot.socket(zmq.REQ, room.requests.endpoint)
    for _ in range(20):
        assert json.loads(ask(honest, body())[0])["ok"]
    assert all(is_cut(peer) for peer in silent)
    assert is_served(room, bot)


@pytest.mark.parametrize(
    "sent",
    [GREETING[:5], GREETING[:-1], GREETING, b"\xff" * 500],
    ids=["half a signature", "half a greeting", "no handshake", "noise"],
)
@pytest.mark.parametrize("door", ["requests", "events", "inbox"])
def test_who_never_finishes_the_handshake_is_cut(
    room: Room, bot: Bot, sockets: ExitStack, door: str, sent: bytes
) -> None:
    peer = raw(sockets, getattr(room, door).endpoint)
    peer.sendall(sent)
    assert is_cut(peer)
    assert is_served(room, bot)


def test_what_does_not_speak_zmtp_3_harms_nobody(room: Room, bot: Bot, sockets: ExitStack) -> None:
    """libzmq takes it for a peer of ZMTP 1, which shakes no hands; where keys are asked for it is refused."""
    for sent in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01" + b"\xff" * 500, b"\x01\x00" * 40):
        for door in (room.requests, room.events, room.inbox):
            raw(sockets, door.endpoint).sendall(sent)
    assert is_served(room, bot)


@pytest.mark.parametrize("kind", [b"DEALER", b"REQ"])
def test_a_peer_that_vanished_is_noticed(room: Room, bot: Bot, sockets: ExitStack, kind: bytes) -> None:
    """Nothing comes any more, not even the end: a cable was cut, a machine lost its power."""
    peer = shaken(sockets, room.requests.endpoint, kind)
    peer.sendall(b"\x04\x07\x04PING\x00\x03")  # give me up after 0.3 s of silence
    assert is_cut(peer)
    assert is_served(room, bot)
    assert room.requests._socket.getsockopt(zmq.TCP_KEEPALIVE) == 1  # for peers that tell no such time


FLOOD_AND_GO = """
import time, zmq
from transport.rooms import Room
from tunesmith.transport.zmq import endpoints
endpoints.HEARTBEAT_MS = 50
with Room() as room:
    for kind, door in ((zmq.DEALER, room.requests), (zmq.PUB, room.inbox), (zmq.XSUB, room.events)):
        context = zmq.Context()
        client = context.socket(kind)
        client.sndhwm = 0
        client.connect(door.endpoint)
        time.sleep(0.3)
        room.loop.call_soon_threadsafe(time.sleep, 0.8)
        for i in range(20_000):
            client.send(b"\\x01%d" % i)
        time.sleep(0.2)
        client.close(0)
        time.sleep(0.7)
        context.destroy(linger=0)
"""


def test_a_flood_that_ends_in_a_disconnect_ends_no_daemon() -> None:
    """In a process of its own: libzmq would abort it."""
    paths = [str(Path(__file__).resolve().parents[2]), *sys.path]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [sys.executable, "-c", FLOOD_AND_GO], capture_output=True, text=True, timeout=120, check=False, env=environ
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_subscriber_that_connects_and_never_reads_is_cut_while_others_hear(
    room: Room, bot: Bot, sockets: ExitStack
) -> None:
    deaf = shaken(sockets, room.events.endpoint, b"SUB")
    deaf.sendall(b"\x00\x01\x01")  # a message of one frame: subscribe to everything
    hearing = bot.socket(zmq.SUB, room.events.endpoint)
    hearing.subscribe(b"pkg/")
    hearing.subscribe(b"hb/")
    assert hearing.recv_multipart()[0] == b"hb/"
    frame = json.dumps({"seq": 1, "padding": "x" * 20_000}).encode()
    for number in range(300):
        room.call(room.events.publish, f"task/{number}/done/", frame)
    room.call(room.events.publish, "pkg/A/1h/s/", frame)
    while hearing.recv_multipart()[0] != b"pkg/A/1h/s/":
        pass
    assert is_cut(deaf)
    assert is_served(room, bot)


def test_frames_that_are_no_zmtp_cut_their_connection_alone(room: Room, bot: Bot, sockets: ExitStack) -> None:
    for sent in (b"\xff" * 64, b"\x02" + b"\xff" * 8, b"\x06" + (2**62).to_bytes(8, "big")):
        peer = shaken(sockets, room.requests.endpoint, b"DEALER")
        peer.sendall(sent)
        assert is_cut(peer), sent
    shaken(sockets, room.requests.endpoint, b"DEALER").sendall(b"\x04\x05ERROR")  # a command that means nothing here
    assert is_served(room, bot)


def test_a_message_that_never_ends_is_nobodys_business(room: Room, bot: Bot, sockets: ExitStack) -> None:
    """Frame after frame with more to come, until the peer has had enough."""
    peer = shaken(sockets, room.requests.endpoint, b"DEALER")
    part = b"\x01\xff" + b"x" * 255
    for _ in range(200):
        peer.sendall(part)
    assert is_served(room, bot)
    peer.close()
    assert is_served(room, bot)


def test_clients_come_and_go_without_leaving_anything(room: Room, bot: Bot, sockets: ExitStack) -> None:
    for _ in range(100):
        gone = bot.context.socket(zmq.DEALER)
        gone.linger = 0
        gone.connect(room.requests.endpoint)
        gone.send(body())
        gone.close()
    until(lambda: room.router.in_flight == 0)
    began = time.perf_counter()
    assert is_served(room, bot)
    assert time.perf_counter() - began < CUT_S
