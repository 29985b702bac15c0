"""Doors behind a gate, over real sockets: who comes in, as what, what they hear, and until when."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import zmq
from structlog.testing import capture_logs

from transport.rooms import Bot, Room, body
from transport.zmq.test_request_sockets import ask, code, until
from tunesmith.config import Limits, Security, Server, Settings
from tunesmith.errors import Invalid
from tunesmith.examples import bot_plain
from tunesmith.protocol.key_files import ClientKey, read_client_key
from tunesmith.transport.access.access_control import AccessControl, Identity, audible, open_access_control
from tunesmith.transport.access.client_keys import KeyStore
from tunesmith.transport.router import Router
from tunesmith.transport.zmq import endpoints
from tunesmith.transport.zmq.request_sockets import RequestSocket

CREATE = {"id": "x", "name": "x", "version": "1.0", "code": "enter_long(True)", "default_params": {}}


class House:
    """A guarded room and its keys."""

    def __init__(self, store: KeyStore, room: Room) -> None:
        self.store = store
        self.room = room

    def key(self, name: str, role: Any = "bot") -> ClientKey:
        return read_client_key(self.store.add(name, role))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    store = KeyStore(tmp_path_factory.mktemp("house") / "keys")
    store.make_server()
    with Room(Limits(in_flight_per_user=4), keys=store) as room:
        yield House(store, room)


def monitored(bot: Bot, kind: int, endpoint: str, key: ClientKey | None) -> tuple[zmq.Socket[bytes], Any]:
    """A socket, and a function that says with which handshake event and value its attempt ended."""
    made = bot.context.socket(kind)
    bot._kept.append(made)
    made.linger = 0
    if key is not None:
        made.curve_publickey, made.curve_secretkey = key.public.encode(), key.secret.encode()
        made.curve_serverkey = key.server.encode()
    events = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    monitor = made.get_monitor_socket(events)
    bot._kept.append(monitor)
    made.connect(endpoint)

    def outcome() -> tuple[int, int]:
        assert monitor.poll(10_000), "no handshake ended"
        first = monitor.recv_multipart()[0]
        return int.from_bytes(first[:2], "little"), int.from_bytes(first[2:6], "little")

    return made, outcome


def every_door(room: Room) -> list[tuple[int, str]]:
    return [
        (zmq.DEALER, room.requests.endpoint),
        (zmq.SUB, room.events.endpoint),
        (zmq.PUB, room.inbox.endpoint),
    ]


def test_a_known_key_comes_in_at_every_door_as_who_it_is(house: House, bot: Bot) -> None:
    key = house.key("known")
    for kind, endpoint in every_door(house.room):
        _, outcome = monitored(bot, kind, endpoint, key)
        assert outcome() == (zmq.EVENT_HANDSHAKE_SUCCEEDED, 0)
    req = bot.socket(zmq.REQ, house.room.requests.endpoint, key=key)
    assert code(ask(req, body(client="another"))[0]) == "ok"
    call = house.room.handlers.seen[-1]
    assert (call.user, call.role, call.client) == ("known", "bot", "another")


def test_a_wrong_key_is_refused_at_every_door(house: House, bot: Bot, tmp_path: Path) -> None:
    public, secret = (part.decode() for part in zmq.curve_keypair())
    stranger = ClientKey(name="x", role="operator", public=public, secret=secret, server=house.store.server().public)
    for kind, endpoint in every_door(house.room):
        _, outcome = monitored(bot, kind, endpoint, stranger)
        assert outcome() == (zmq.EVENT_HANDSHAKE_FAILED_AUTH, 400)


def test_without_a_key_nobody_comes_in_at_any_door(house: House, bot: Bot) -> None:
    for kind, endpoint in every_door(house.room):
        _, outcome = monitored(bot, kind, endpoint, None)
        assert outcome() == (zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH)


def test_another_daemons_key_opens_no_connection(house: House, bot: Bot) -> None:
    key = house.key("astray")
    other, _ = (part.decode() for part in zmq.curve_keypair())
    dealer = bot.socket(
        zmq.DEALER, house.room.requests.endpoint, timeout_ms=300, key=msgspec.structs.replace(key, server=other)
    )
    dealer.send(body())
    with pytest.raises(zmq.Again):
        dealer.recv()


def test_a_bot_may_not_what_an_operator_may(house: House, bot: Bot) -> None:
    made = [house.key("worker"), house.key("boss", "operator")]
    answers = []
    for key in made:
        dealer = bot.socket(zmq.DEALER, house.room.requests.endpoint, key=key)
        answers.append(json.loads(ask(dealer, body("strategy.create", data=CREATE))[-1]))
    assert answers[0]["error"]["code"] == "forbidden"
    assert "worker is a bot" in answers[0]["error"]["detail"]
    assert answers[1]["ok"]


def test_a_record_that_says_operator_now_makes_one_at_once(house: House, bot: Bot) -> None:
    key = house.key("climber")
    dealer = bot.socket(zmq.DEALER, house.room.requests.endpoint, key=key)
    assert code(ask(dealer, body("strategy.create", data=CREATE))[-1]) == "forbidden"
    record = house.store.clients_folder / "climber.json"
    record.write_text(record.read_text().replace('"bot"', '"operator"'))
    until(lambda: code(ask(dealer, body("strategy.create", data=CREATE))[-1]) == "ok")


def test_limits_are_a_users_not_a_connections(house: House, bot: Bot) -> None:
    key = house.key("flooder")
    dealers = [bot.socket(zmq.DEALER, house.room.requests.endpoint, key=key) for _ in range(6)]
    house.room.call(house.room.handlers.gate.clear)
    for dealer in dealers:
        dealer.send(body("task.list"))
    until(lambda: house.room.observed["task.list", "busy"] == 2)
    house.room.call(house.room.handlers.gate.set)
    assert sorted(code(dealer.recv()) for dealer in dealers) == ["busy"] * 2 + ["ok"] * 4


def test_a_revoked_key_is_refused_on_connections_that_stand_and_on_new_ones(house: House, bot: Bot) -> None:
    room = house.room
    keys = {name: house.key(name) for name in ("leaver", "stayer")}
    dealers = {name: bot.socket(zmq.DEALER, room.requests.endpoint, key=key) for name, key in keys.items()}
    subs = {name: bot.socket(zmq.SUB, room.events.endpoint, 300, key) for name, key in keys.items()}
    pub = bot.socket(zmq.PUB, room.inbox.endpoint, key=keys["leaver"])
    watched, ended = monitored(bot, zmq.SUB, room.events.endpoint, keys["stayer"])
    watched.subscribe(b"task/")
    assert ended()[0] == zmq.EVENT_HANDSHAKE_SUCCEEDED
    for sub in subs.values():
        sub.subscribe(b"task/")
    for name, sub in subs.items():
        until(lambda sub=sub: room.call(room.events.publish, "task/t/done/", b"{}") or sub.poll(20))
        assert code(ask(dealers[name], body())[-1]) == "ok"

    told: list[tuple[str, ...]] = []
    room.call(setattr, room.gate, "refused", lambda *refusal: told.append(refusal))
    house.store.revoke("leaver")
    began = time.monotonic()
    until(lambda: code(ask(dealers["leaver"], body())[-1]) == "unauthorized")
    assert time.monotonic() - began < 5.0
    n_dropped = room.dropped["inbox"]
    until(lambda: pub.send(body("ping", client="leaver")) or room.dropped["inbox"] > n_dropped)
    while subs["leaver"].poll(200):
        subs["leaver"].recv_multipart()
    for _ in range(3):
        room.call(room.events.publish, "task/secret/done/", b"{}")
    topics = set()
    while b"task/secret/done/" not in topics:
        topics.add(subs["stayer"].recv_multipart()[0])
    assert not subs["leaver"].poll(200)
    _, outcome = monitored(bot, zmq.SUB, room.events.endpoint, keys["leaver"])
    assert outcome() == (zmq.EVENT_HANDSHAKE_FAILED_AUTH, 400)
    assert code(ask(dealers["stayer"], body())[-1]) == "ok"
    assert {refusal[:2] for refusal in told} == {("leaver", door) for door in ("requests", "inbox", "connection")}
    assert all(keys["leaver"].public in refusal[2] for refusal in told)


def test_nobody_gets_the_reply_to_another_by_taking_his_routing_id(house: House, bot: Bot) -> None:
    def named(key: ClientKey) -> zmq.Socket[bytes]:
        made = bot.context.socket(zmq.DEALER)
        made.linger, made.routing_id, made.rcvtimeo = 0, b"bot-7", 5_000
        made.curve_publickey, made.curve_secretkey = key.public.encode(), key.secret.encode()
        made.curve_serverkey = key.server.encode()
        bot._kept.append(made)
        made.connect(house.room.requests.endpoint)
        return made

    start = {"symbol": "BTC/USDT", "strategy_id": "s"}
    house.room.handlers.gate.clear()
    owner, thief = house.key("owner"), house.key("impostor")
    asking = named(owner)
    asking.send_multipart([b"", body("ping", "here")])
    assert json.loads(asking.recv_multipart()[-1])["ok"]
    asking.send_multipart([b"", body("backtest.start", "mine", start)])
    until(lambda: house.room.router.in_flight == 1)
    asking.close()
    waiting = named(thief)
    while not _answers(waiting):  # refused while the owner's connection stands
        waiting.close()
        waiting = named(thief)
    house.room.call(house.room.handlers.gate.set)
    until(lambda: house.room.router.in_flight == 0)
    waiting.send_multipart([b"", body("ping", "after")])
    assert json.loads(waiting.recv_multipart()[-1])["id"] == "after"
    house.room.call(house.room.handlers.gate.clear)


def _answers(socket: zmq.Socket[bytes]) -> bool:
    socket.send_multipart([b"", body("ping", "there")])
    return bool(socket.poll(500)) and json.loads(socket.recv_multipart()[-1])["id"] == "there"


def test_a_new_key_of_the_same_name_does_not_revive_the_old_one(house: House, bot: Bot) -> None:
    old = house.key("phoenix")
    dealer = bot.socket(zmq.DEALER, house.room.requests.endpoint, key=old)
    assert code(ask(dealer, body())[-1]) == "ok"
    house.store.revoke("phoenix")
    new = house.key("phoenix", "operator")
    fresh = bot.socket(zmq.DEALER, house.room.requests.endpoint, key=new)
    assert code(ask(fresh, body())[-1]) == "ok"
    assert code(ask(dealer, body())[-1]) == "unauthorized"


def heard(sub: zmq.Socket[bytes], room: Room, topics: list[str]) -> set[str]:
    """Which of the topics reach a subscriber that hears the last one: of a round that began after it had heard it."""
    got: list[str] = []
    sub.rcvtimeo = 50

    def came_twice() -> bool:
        for topic in topics:
            room.call(room.events.publish, topic, b"{}")
        while True:
            try:
                got.append(sub.recv_multipart()[0].decode())
            except zmq.Again:
                return got.count(topics[-1]) > 1

    until(came_twice)
    return set(got)


@pytest.mark.parametrize("subscription", ["", "rep/", "rep/li", "r", "rep/listener/", "rep/other/", "rep/listener2/"])
def test_a_bot_hears_no_replies_to_others_whatever_it_subscribes(house: House, bot: Bot, subscription: str) -> None:
    if not house.store.issued("listener").exists():
        house.store.add("listener", "bot")
    key = read_client_key(house.store.issued("listener"))
    sub = bot.socket(zmq.SUB, house.room.events.endpoint, key=key)
    sub.subscribe(subscription.encode())
    sub.subscribe(b"task/")
    rep = {"rep/other/1/", "rep/listener2/1/", "rep/listener/1/"}
    got = heard(sub, house.room, [*sorted(rep), "task/x/done/"]) & rep
    assert got == ({"rep/listener/1/"} if "rep/listener/".startswith(subscription) else set())


@pytest.mark.parametrize("message", [[b"\x05hello"], [b""], [b"\x05", b"\x05"], [b"\x05", b"\x01task/"]])
def test_a_bot_that_talks_on_the_events_door_gets_nobodys_subscription(
    house: House, bot: Bot, message: list[bytes]
) -> None:
    for name in ("victim", "thief"):
        if not house.store.issued(name).exists():
            house.store.add(name, "bot")
    keys = {name: read_client_key(house.store.issued(name)) for name in ("victim", "thief")}
    sockets = []
    for kind, name in ((zmq.XSUB, "thief"), (zmq.SUB, "victim"), (zmq.XSUB, "thief")):
        made, outcome = monitored(bot, kind, house.room.events.endpoint, keys[name])
        assert outcome()[0] == zmq.EVENT_HANDSHAKE_SUCCEEDED
        sockets.append(made)
    talker, victim, thief = sockets
    held = threading.Event()
    house.room.loop.call_soon_threadsafe(held.wait, 10)  # what is sent meanwhile waits in the order of its coming
    talker.send_multipart(message)
    time.sleep(0.1)
    victim.subscribe(b"rep/victim/")
    time.sleep(0.1)
    thief.send(b"\x01task/")
    time.sleep(0.1)
    held.set()
    assert "rep/victim/1/" in heard(victim, house.room, ["task/x/done/", "rep/victim/1/"])
    while thief.poll(200):
        assert thief.recv_multipart()[0] == b"task/x/done/"


def test_an_operator_hears_everything(house: House, bot: Bot) -> None:
    sub = bot.socket(zmq.SUB, house.room.events.endpoint, key=house.key("overseer", "operator"))
    sub.subscribe(b"")
    topics = ["rep/other/1/", "pkg/A/1h/s/", "task/x/done/"]
    assert set(topics) <= heard(sub, house.room, topics)


@pytest.mark.parametrize(
    ("prefix", "topics"),
    [
        (b"pkg/BTC/USDT/", [b"pkg/BTC/USDT/"]),
        (b"hb/", [b"hb/"]),
        (b"", [b"pkg/", b"task/", b"hb/", b"rep/me/"]),
        (b"p", [b"pkg/"]),
        (b"rep/", [b"rep/me/"]),
        (b"rep/me/7/", [b"rep/me/7/"]),
        (b"rep/me2/", []),
        (b"rep/m/", []),
        (b"admin/", []),
        (b"\xff", []),
    ],
)
def test_what_a_bot_may_hear_below_a_prefix(prefix: bytes, topics: list[bytes]) -> None:
    assert audible(Identity("me", "bot"), prefix) == topics
    assert audible(Identity("me", "operator"), prefix) == [prefix]


def test_a_late_bot_behind_a_gate_gets_the_last_package(house: House, bot: Bot) -> None:
    house.room.call(house.room.events.publish, "pkg/LATE/1h/s/", b'{"seq": 1}')
    sub = bot.socket(zmq.SUB, house.room.events.endpoint, key=house.key("late"))
    sub.subscribe(b"pkg/LATE/")
    assert sub.recv_multipart() == [b"pkg/LATE/1h/s/", b'{"seq": 1}']


def test_on_the_inbox_the_key_says_who_it_is(house: House, bot: Bot) -> None:
    keys = [house.key("honest"), house.key("liar")]
    sub = bot.socket(zmq.SUB, house.room.events.endpoint, key=house.key("watcher", "operator"))
    sub.subscribe(b"rep/")
    pubs = [bot.socket(zmq.PUB, house.room.inbox.endpoint, key=key) for key in keys]
    replies: dict[str, str] = {}
    sub.rcvtimeo = 50

    def answered() -> bool:
        for pub in pubs:
            pub.send(body("ping", "i1", client="honest"))
        try:
            while True:
                topic, reply = sub.recv_multipart()
                replies[topic.decode()] = code(reply)
        except zmq.Again:
            return len(replies) == 2

    until(answered)
    assert replies == {"rep/honest/i1/": "ok", "rep/liar/i1/": "forbidden"}
    assert {call.user for call in house.room.handlers.seen if call.door == "inbox"} == {"honest"}


def test_an_error_in_the_check_asks_to_come_again_and_harms_nobody(
    tmp_path: Path, bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = KeyStore(tmp_path / "keys")
    store.make_server()
    unlucky, lucky = (read_client_key(store.add(name, "bot")) for name in ("unlucky", "lucky"))
    admit, failed = AccessControl.admit, []

    def fail(self: AccessControl, key: str) -> Identity | None:
        if key == unlucky.public and len(failed) < 3:
            failed.append(key)
            raise RuntimeError("no")
        return admit(self, key)

    monkeypatch.setattr(AccessControl, "admit", fail)
    monkeypatch.setattr(endpoints, "HANDSHAKE_MS", 200)  # after which libzmq closes what was told to come again
    with Room(keys=store) as room:
        dealers = [bot.socket(zmq.DEALER, room.requests.endpoint, 10_000, key) for key in (unlucky, lucky)]
        for dealer in dealers:
            dealer.send(body())
        assert [code(dealer.recv()) for dealer in reversed(dealers)] == ["ok", "ok"]
    assert len(failed) == 3


def test_a_torn_record_shuts_out_its_key_alone(house: House, bot: Bot) -> None:
    key, other = house.key("torn"), house.key("whole")
    dealers = [bot.socket(zmq.DEALER, house.room.requests.endpoint, key=k) for k in (key, other)]
    assert [code(ask(dealer, body())[-1]) for dealer in dealers] == ["ok", "ok"]
    (house.store.clients_folder / "torn.json").write_text("{")
    until(lambda: code(ask(dealers[0], body())[-1]) == "unauthorized")
    assert code(ask(dealers[1], body())[-1]) == "ok"


def test_silent_and_garbled_connections_do_not_stop_the_gate(house: House, bot: Bot) -> None:
    host, port = house.room.requests.endpoint.removeprefix("tcp://").split(":")
    silent = [socket.create_connection((host, int(port))) for _ in range(20)]
    for i, connection in enumerate(silent):
        connection.sendall(os.urandom(200) if i % 2 else b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00CURVE")
    dealer = bot.socket(zmq.DEALER, house.room.requests.endpoint, key=house.key("through"))
    assert code(ask(dealer, body())[-1]) == "ok"
    for connection in silent:
        connection.close()


def test_what_is_tried_in_vain_is_logged_once_a_second(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, times = AccessControl(house.store), iter((1000.0, 1000.1, 1000.9, 1001.1))
    monkeypatch.setattr(
        "tunesmith.transport.access.access_control.time", SimpleNamespace(monotonic=lambda: next(times))
    )
    with capture_logs() as lines:
        for _ in range(4):
            gate.refuse("k", "requests", "because")
    assert [line["unsaid_before"] for line in lines if line["event"] == "a key was refused"] == [0, 2]


def settings_for(folder: Path, curve: Any) -> Settings:
    return Settings(server=Server(data_dir=str(folder)), security=Security(curve=curve))


def test_the_gate_is_there_when_the_settings_or_a_servers_key_ask_for_it(tmp_path: Path) -> None:
    assert open_access_control(settings_for(tmp_path, "auto")) is None
    assert open_access_control(settings_for(tmp_path, "off")) is None
    with pytest.raises(Invalid, match="tunesmith keys init"):
        open_access_control(settings_for(tmp_path, "on"))
    KeyStore(tmp_path / "keys").make_server()
    assert open_access_control(settings_for(tmp_path, "auto")) is not None
    assert open_access_control(settings_for(tmp_path, "on")) is not None
    assert open_access_control(settings_for(tmp_path, "off")) is None
    (tmp_path / "keys" / "server.key").chmod(0o644)
    with pytest.raises(Invalid, match="chmod 600"):
        open_access_control(settings_for(tmp_path, "auto"))


def test_behind_a_gate_a_door_may_open_to_the_outside(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "keys")
    store.make_server()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        entry = endpoints.BindPolicy(gate=AccessControl(store))
        door = RequestSocket(context, "tcp://0.0.0.0:0", Router({}, Limits()), Limits(), entry=entry)
        assert door.endpoint.startswith("tcp://0.0.0.0:")
        door.stop()
    finally:
        context.destroy(linger=0)


def test_the_plain_example_bot_comes_in_by_its_key(house: House, tmp_path: Path) -> None:
    key = house.store.add("example", "bot")
    event = {"type": "package.approved", "seq": 1, "prev": 0, "data": {"params": {"n": 1}}}
    house.room.call(house.room.events.publish, "pkg/EXAMPLE/USDT/1h/s/", json.dumps(event).encode())
    addresses = [house.room.requests.endpoint, house.room.events.endpoint]
    command = [sys.executable, bot_plain.__file__, *addresses, "EXAMPLE/USDT"]
    environ = {**os.environ, "TUNESMITH_KEY": str(key)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as bot:
        try:
            assert bot.stdout is not None
            assert bot.stdout.readline() == 'package.approved {"n": 1}\n'
        finally:
            bot.kill()
