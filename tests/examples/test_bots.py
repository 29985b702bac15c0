"""The examples run as they stand, against a real daemon: each hears a package, and that it was revoked."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import zmq

from journeys.daemon import DaemonProcess, Dealer, wait_until
from journeys.edges import RULE, kept, plant
from storage.opened import add_package
from tunesmith.examples import freqtrade_params
from tunesmith.storage.secrets.signing_keys import SigningKeys
from tunesmith.storage.sqlite.database import Database
from tunesmith.transport.access.client_keys import KeyStore

EXAMPLES = Path(freqtrade_params.__file__).parent
SYMBOL = "PLANTED/USDT"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    folder = tmp_path_factory.mktemp("bots")
    plant(folder, SYMBOL)
    running = DaemonProcess(folder)
    running.start()
    yield running
    assert running.stop() == 0, running.log()[-3000:]


@pytest.fixture
def dealer(daemon: DaemonProcess) -> Iterator[Dealer]:
    with zmq.Context() as context, Dealer(context, daemon.doors["requests"]) as made:
        yield made


@pytest.fixture
def package(dealer: Dealer) -> dict[str, Any]:
    """A package in force for the planted market; the examples take the grade "criteria" knowingly."""
    made: dict[str, Any] = kept(dealer, SYMBOL)["parameter_package"]
    return made


class Bot:
    """A running example; what it has printed so far."""

    def __init__(self, command: list[str], folder: Path, key: Path | None = None) -> None:
        self.output = folder / "output.txt"
        environ = {**os.environ, "TUNESMITH_KEY": str(key or "")}
        with self.output.open("w") as stream:
            self.process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, cwd=folder, env=environ)

    def says(self, text: str) -> None:
        wait_until(lambda: text in self.output.read_text(), 90.0, lambda: f"no {text!r} in {self.output.read_text()!r}")

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def run_through(bot: Bot, dealer: Dealer, package: dict[str, Any], *, stopped: str) -> None:
    """The package in force at once, then the next event."""
    try:
        bot.says("fast_period")
        dealer.data("package.revoke", {"package_id": package["package_id"], "reason": "a trial"})
        bot.says(stopped)
        bot.says("a trial")
        assert bot.output.read_text().count("fast_period") == 1
    finally:
        bot.end()


def test_the_plain_bot(daemon: DaemonProcess, dealer: Dealer, package: dict[str, Any], tmp_path: Path) -> None:
    addresses = [daemon.doors["requests"], daemon.doors["events"], SYMBOL]
    bot = Bot([sys.executable, str(EXAMPLES / "bot_plain.py"), *addresses], tmp_path)
    run_through(bot, dealer, package, stopped="package.revoked")


def test_the_plain_bot_asks_for_what_it_missed(tmp_path: Path) -> None:
    """Doors of our own, which lose an event: 1, then 4 with `prev` 3; a replay brings 3 and 4 together."""
    topic = f"pkg/{SYMBOL}/1d/{RULE}/"

    def event(seq: int, prev: int) -> dict[str, Any]:
        return {"type": "package.approved", "seq": seq, "prev": prev, "data": {"params": {"n": seq}}}

    with zmq.Context() as context, context.socket(zmq.XPUB) as events, context.socket(zmq.REP) as requests:
        for wire in (events, requests):
            wire.setsockopt(zmq.LINGER, 0)
            wire.bind("tcp://127.0.0.1:*")
            wire.setsockopt(zmq.RCVTIMEO, 20_000)
        addresses = [wire.getsockopt_string(zmq.LAST_ENDPOINT) for wire in (requests, events)]
        bot = Bot([sys.executable, str(EXAMPLES / "bot_plain.py"), *addresses, SYMBOL], tmp_path)
        try:
            assert events.recv() == b"\x01pkg/PLANTED/USDT/"
            for seq, prev in ((1, 0), (4, 3), (4, 3)):
                events.send_multipart([topic.encode(), json.dumps(event(seq, prev)).encode()])
            asked = json.loads(requests.recv())
            assert (asked["type"], asked["data"]) == ("events.replay", {"topics": [topic], "after": 1})
            records = [{"topic": topic, "event": event(3, 1)}, {"topic": topic, "event": event(4, 3)}]
            requests.send_json({"v": 1, "ok": True, "data": {"events": records}})
            events.send_multipart([topic.encode(), json.dumps(event(5, 4)).encode()])
            bot.says('{"n": 5}')
            assert [json.loads(line.split(" ", 1)[1])["n"] for line in bot.output.read_text().splitlines()] == [
                1,
                3,
                4,
                5,
            ]
            restored = event(2, 0) | {"epoch": "of a restored database"}
            events.send_multipart([topic.encode(), json.dumps(restored).encode()])
            bot.says('{"n": 2}')
        finally:
            bot.end()


@pytest.mark.parametrize("language", ["python", "node"])
def test_a_plain_bot_of_a_symbol_without_a_slash_hears_no_pair_that_begins_with_it(
    language: str, tmp_path: Path
) -> None:
    with zmq.Context() as context, context.socket(zmq.XPUB) as events:
        events.setsockopt(zmq.LINGER, 0)
        events.setsockopt(zmq.RCVTIMEO, 20_000)
        events.bind("tcp://127.0.0.1:*")
        nobody = "tcp://127.0.0.1:9"
        address = events.getsockopt_string(zmq.LAST_ENDPOINT)
        bot = Bot([*bot_command(language, tmp_path), nobody, address, "ETH"], tmp_path)
        try:
            assert events.recv() == b"\x01pkg/ETH//"
            for n, topic in enumerate(("pkg/ETH/USDT/1d/r/", "pkg/ETH/1d/r/", "pkg/ETH//1d/r/")):
                event = {"type": "package.approved", "seq": n + 1, "prev": 0, "data": {"n": n}}
                events.send_multipart([topic.encode(), json.dumps(event).encode()])
            bot.says(json.dumps({"n": 2}, separators=(",", ":" if language == "node" else ": ")))
            assert len(bot.output.read_text().splitlines()) == 1
        finally:
            bot.end()


@pytest.mark.parametrize("language", ["python", "node"])
def test_a_plain_bot_heeds_what_a_trusted_key_signed_alone(language: str, tmp_path: Path) -> None:
    """Doors of our own: unsigned, altered and signed events, and a replay that brings a signed and an altered one."""
    topic = f"pkg/{SYMBOL}/1d/{RULE}/"
    trusted, sign = keys_of(tmp_path)

    def frame(seq: int, prev: int) -> bytes:
        event = {"type": f"package.n{seq}", "seq": seq, "prev": prev, "keyid": trusted.split()[0], "data": {"n": seq}}
        return json.dumps(event).encode()

    def shown(n: int) -> str:
        return json.dumps({"n": n}, separators=(",", ":" if language == "node" else ": "))

    def record(text: bytes, signature: bytes) -> dict[str, Any]:
        encoded = base64.b64encode(signature).decode()
        return {"topic": topic, "event": json.loads(text), "text": text.decode(), "signature": encoded}

    file = tmp_path / "trusted.keys"
    file.write_text(f"# whom it believes\n{trusted}\n")
    with zmq.Context() as context, context.socket(zmq.XPUB) as events, context.socket(zmq.REP) as requests:
        for wire in (events, requests):
            wire.setsockopt(zmq.LINGER, 0)
            wire.bind("tcp://127.0.0.1:*")
            wire.setsockopt(zmq.RCVTIMEO, 20_000)
        addresses = [wire.getsockopt_string(zmq.LAST_ENDPOINT) for wire in (requests, events)]
        bot = Bot([*bot_command(language, tmp_path), *addresses, SYMBOL, str(file)], tmp_path)
        try:
            assert events.recv() == b"\x01pkg/PLANTED/USDT/"
            first = frame(1, 0)
            for frames in ([first], [first, bytes(64)], [first.replace(b'"n": 1', b'"n": 7'), sign(first)]):
                events.send_multipart([topic.encode(), *frames])
            events.send_multipart([topic.encode(), first, sign(first)])
            events.send_multipart([topic.encode(), frame(4, 3), sign(frame(4, 3))])
            assert json.loads(requests.recv())["type"] == "events.replay"
            signed, altered = frame(3, 1), frame(4, 3).replace(b'"n": 4', b'"n": 7')
            records = [record(signed, sign(signed)), record(altered, sign(frame(4, 3)))]
            requests.send_json({"v": 1, "ok": True, "data": {"events": records}})
            bot.says("refused package.n4")
            bot.says("package.n3")
            assert bot.output.read_text().splitlines() == [
                *["refused package.n1"] * 3,
                f"package.n1 {shown(1)}",
                "refused package.n4",
                f"package.n3 {shown(3)}",
            ]
        finally:
            bot.end()


def test_node_checks_signatures_with_its_own_crypto(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    trusted, sign = keys_of(tmp_path)
    file = tmp_path / "trusted.keys"
    file.write_text(f"# whom it believes\n{trusted}\n{trusted.replace(trusted[:4], 'ffff')} retired\n")
    frame = json.dumps({"keyid": trusted.split()[0], "text": "é"}).encode()
    other = frame.replace(trusted[:4].encode(), b"ffff")
    cases = [(frame, sign(frame)), (frame + b" ", sign(frame)), (frame, bytes(64)), (frame, b""), (other, sign(other))]
    code = f"""
        const {{ readKeys, isSigned }} = require({str(EXAMPLES / "signatures.js")!r});
        const keys = readKeys({str(file)!r});
        const cases = {json.dumps([[base64.b64encode(part).decode() for part in case] for case in cases])};
        console.log(cases.map(([f, s]) => isSigned(Buffer.from(f, "base64"), Buffer.from(s, "base64"), keys)).join());
        console.log(isSigned(Buffer.from(cases[0][0], "base64"), undefined, keys));
    """
    done = subprocess.run([node, "-e", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["true,false,false,false,false", "false"]


def keys_of(folder: Path) -> tuple[str, Callable[[bytes], bytes]]:
    """A signing key: its line in a bot's file of trusted keys, and how it signs."""
    keys = SigningKeys(folder / "signing")
    line, key = keys.new().key.line, keys.load()
    assert key is not None
    return line, key.sign


def test_the_bot_with_the_client(
    daemon: DaemonProcess, dealer: Dealer, package: dict[str, Any], tmp_path: Path
) -> None:
    addresses = [daemon.doors["requests"], daemon.doors["events"], SYMBOL]
    bot = Bot([sys.executable, "-m", "tunesmith.examples.bot_client", *addresses], tmp_path)
    run_through(bot, dealer, package, stopped="stop: revoked")


def bot_command(language: str, folder: Path) -> list[str]:
    """How a bot in plain ZeroMQ is started."""
    if language == "python":
        return [sys.executable, str(EXAMPLES / "bot_plain.py")]
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    trial = subprocess.run([node, "-e", "require('zeromq')"], capture_output=True, check=False, cwd=folder)
    if trial.returncode:
        pytest.skip("node has no package zeromq (a folder that has it can be named in NODE_PATH)")
    return [node, str(EXAMPLES / "bot.js")]


def test_the_bot_in_node(daemon: DaemonProcess, dealer: Dealer, package: dict[str, Any], tmp_path: Path) -> None:
    addresses = [daemon.doors["requests"], daemon.doors["events"], SYMBOL]
    bot = Bot([*bot_command("node", tmp_path), *addresses], tmp_path)
    run_through(bot, dealer, package, stopped="package.revoked")


class Guarded(NamedTuple):
    """A daemon that asks for keys and signs, with a package in force."""

    daemon: DaemonProcess
    store: KeyStore
    trusted: str


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    store = KeyStore(folder / "keys")
    store.make_server()
    trusted = SigningKeys(folder / "keys" / "signing").new().key.line
    asyncio.run(put_in_force(folder))
    running = DaemonProcess(folder, {"TUNESMITH_WORKERS__COUNT": "1", "TUNESMITH_SECURITY__CURVE": "on"})
    running.start()
    yield Guarded(running, store, trusted)
    assert running.stop() == 0, running.log()[-3000:]


async def put_in_force(folder: Path) -> None:
    database = await Database.open(folder / "tunesmith.db")
    try:
        await database.write(lambda conn: add_package(conn, "ab" * 32))
    finally:
        await database.close()


@pytest.mark.parametrize("language", ["python", "node"])
def test_a_plain_bot_with_key_and_trusted_keys(guarded: Guarded, language: str, tmp_path: Path) -> None:
    """It takes what the daemon signed, refuses what a stranger would have to sign, and says why it is not let in."""
    doors = guarded.daemon.doors
    command = [*bot_command(language, tmp_path), doors["requests"], doors["events"], "BTC/USDT"]
    key, trusted, other = (
        guarded.store.add(f"{language}-bot", "bot"),
        tmp_path / "trusted.keys",
        tmp_path / "other.keys",
    )
    trusted.write_text(f"{guarded.trusted}\n")
    other.write_text(keys_of(tmp_path)[0])
    for name in ("believes", "doubts", "keyless"):
        (tmp_path / name).mkdir()
    bots = [Bot([*command, str(trusted)], tmp_path / "believes", key)]
    bots += [Bot([*command, str(other)], tmp_path / "doubts", key), Bot([*command], tmp_path / "keyless")]
    believes, doubts, keyless = bots
    try:
        believes.says("package.approved {")
        doubts.says("refused package.approved")
        keyless.says("the daemon asks for a key")
        assert keyless.process.wait(90) == 1
        guarded.store.revoke(f"{language}-bot")
        for bot in (believes, doubts):
            bot.says("the key is revoked or unknown")
            assert bot.process.wait(90) == 1
        assert (
            believes.output.read_text().count("package.approved {") == 1
        )  # the one from before there was a key is not
        assert "package.approved {" not in doubts.output.read_text()
    finally:
        for bot in bots:
            bot.end()


def test_freqtrade_gets_parameters_and_loses_them_with_the_package(
    daemon: DaemonProcess, dealer: Dealer, package: dict[str, Any], tmp_path: Path
) -> None:
    strategy = tmp_path / "freqtrade_ma_cross.py"
    shutil.copy(EXAMPLES / "freqtrade_ma_cross.py", strategy)
    options = ["--symbol", SYMBOL, "--timeframe", "1d", "--strategy", RULE, "--grade", "criteria"]
    options += ["--requests", daemon.doors["requests"], "--events", daemon.doors["events"], "--count", "2"]
    bot = Bot([sys.executable, "-m", "tunesmith.examples.freqtrade_params", str(strategy), *options], tmp_path)
    file = tmp_path / "freqtrade_ma_cross.json"
    try:
        bot.says("approved")
        written = json.loads(file.read_text())
        assert written["strategy_name"] == "TunedMaCross"
        assert written["ft_stratparam_v"] == 1
        assert written["params"] == {"buy": {**package["params"], "package_in_force": True}}
        dealer.data("package.revoke", {"package_id": package["package_id"], "reason": "a trial"})
        assert bot.process.wait(90) == 0
        withdrawn = json.loads(file.read_text())["params"]["buy"]
        assert withdrawn == {**package["params"], "package_in_force": False}
        assert sorted(p.name for p in tmp_path.iterdir() if "draft" in p.name) == []
        assert file.stat().st_mode & 0o777 == 0o644
    finally:
        bot.end()
