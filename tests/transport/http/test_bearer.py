"""Bearer tokens over HTTP: who needs one, what a role may do, and that a revoked one is out at once."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from transport.rooms import Room
from tunesmith.config import Limits
from tunesmith.errors import Conflict, Invalid, NotFound
from tunesmith.protocol.messages.tasks import LogLine
from tunesmith.storage.secrets.tokens import TokenFile
from tunesmith.transport.http import Health, HttpSidecar, Probes

CHALLENGE = 'Bearer realm="tunesmith"'
CREATE = {"id": "s", "name": "S", "code": "x = 1"}


@pytest.fixture
def tokens(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "keys" / "tokens.json")


@pytest.fixture
def room(tokens: TokenFile) -> Iterator[Room]:
    with Room(with_http=True, tokens=tokens) as room:
        yield room


@pytest.fixture
def web(room: Room) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{room.http.endpoint}", timeout=10) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def code_of(reply: httpx.Response) -> tuple[int, str]:
    if reply.status_code == 401:
        assert reply.headers["www-authenticate"] == CHALLENGE
    return reply.status_code, reply.json().get("code", "ok")


def test_limits_are_a_tokens_not_a_connections(tokens: TokenFile) -> None:
    desk, other = bearer(tokens.new("desk", "bot")), bearer(tokens.new("other", "bot"))
    start = {"symbol": "BTC/USDT", "strategy_id": "s"}
    with Room(Limits(in_flight_per_user=2), with_http=True, tokens=tokens) as room, ThreadPoolExecutor(3) as pool:
        url = f"http://{room.http.endpoint}/api/backtest/start"
        waiting = [pool.submit(httpx.post, url, json=start, headers=desk, timeout=10) for _ in range(2)]
        while room.router.in_flight < 2:
            assert not any(each.done() for each in waiting)
        assert code_of(httpx.post(url, json=start, headers=desk, timeout=10)) == (429, "busy")
        waiting.append(pool.submit(httpx.post, url, json=start, headers=other, timeout=10))
        while room.router.in_flight < 3:
            assert not waiting[-1].done()
        room.call(room.handlers.gate.set)
        assert [each.result().status_code for each in waiting] == [200] * 3


def test_roles_are_asked_for_from_the_first_token_on_and_until_a_token_is_revoked(
    room: Room, web: httpx.Client, tokens: TokenFile
) -> None:
    assert web.post("/api/strategies", json=CREATE).status_code == 200
    desk, bot = tokens.new("desk", "operator"), tokens.new("night-bot", "bot")
    for method, path in (("POST", "/api/strategies"), ("PUT", "/api/strategies/s"), ("POST", "/api/messages/ping")):
        assert code_of(web.request(method, path, json=CREATE)) == (401, "unauthorized")
    assert code_of(web.delete("/api/strategies/s")) == (401, "unauthorized")
    wrong = ("", "Bearer", f"Bearer {desk}x", f"Bearer {desk[:-1]}", f"Basic {desk}", desk, f"Bearer {'x' * 10_000}")
    for header in wrong:
        for method, path in (("DELETE", "/api/strategies/s"), ("GET", "/api/packages")):
            refused = web.request(method, path, headers={"Authorization": header})
            assert code_of(refused) == (401, "unauthorized")
            assert desk not in refused.text
    assert web.delete("/api/strategies/s", headers=bearer(desk)).json()["deleted"]
    assert code_of(web.delete("/api/strategies/s", headers=bearer(bot))) == (403, "forbidden")
    ping = [web.post("/api/messages/ping", json={}, headers=bearer(token)).status_code for token in (desk, bot)]
    assert ping == [200, 200]
    seen = [(call.user, call.role, call.door) for call in room.handlers.seen]
    assert seen == [("desk", "operator", "http"), ("desk", "operator", "http"), ("night-bot", "bot", "http")]
    assert web.get("/api/packages").status_code == 200
    tokens.revoke("desk")
    assert code_of(web.delete("/api/strategies/s", headers=bearer(desk))) == (401, "unauthorized")
    tokens.revoke("night-bot")
    assert code_of(web.delete("/api/strategies/s")) == (401, "unauthorized"), "without tokens it was open again"


def test_beyond_loopback_data_needs_a_token_and_probes_do_not(room: Room, tokens: TokenFile) -> None:
    async def health() -> Health:
        return Health()

    async def open_door() -> HttpSidecar:
        door = HttpSidecar(
            "0.0.0.0:0", room.router, Limits(), Probes(health), insecure_bind=True, tokens=tokens, refused=asked.append
        )
        await door.start()
        return door

    asked: list[str] = []
    door = asyncio.run_coroutine_threadsafe(open_door(), room.loop).result(10)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{door.endpoint.rpartition(':')[2]}", timeout=10) as web:
            for path in ("/livez", "/readyz", "/health", "/metrics", "/openapi.json", "/asyncapi.json"):
                assert web.get(path).status_code == 200
            for method, path in (("GET", "/api/packages"), ("GET", "/api/tasks/t/logs"), ("POST", "/api/strategies")):
                assert code_of(web.request(method, path, **({"json": CREATE} if method == "POST" else {}))) == (
                    401,
                    "unauthorized",
                )
            assert asked == ["GET /api/packages", "GET /api/tasks/{task_id}/logs", "POST /api/strategies"]
            bot = tokens.new("night-bot", "bot")
            assert web.get("/api/packages", headers=bearer(bot)).status_code == 200
    finally:
        asyncio.run_coroutine_threadsafe(door.stop(), room.loop).result(10)


def test_a_stream_ends_when_its_token_is_revoked(room: Room, web: httpx.Client, tokens: TokenFile) -> None:
    desk = tokens.new("desk", "operator")
    room.handlers.lines = [LogLine(n=1, time="t", level="info", message="begun")]
    read, ended = threading.Event(), threading.Event()

    def follow() -> None:
        with web.stream("GET", "/api/tasks/t/logs", headers=bearer(desk)) as reply:
            for _ in reply.iter_lines():
                read.set()
        ended.set()

    thread = threading.Thread(target=follow)
    thread.start()
    assert read.wait(10)
    tokens.revoke("desk")
    assert ended.wait(10)
    thread.join(10)


def test_the_file_holds_hashes_for_its_owner_alone(tokens: TokenFile, tmp_path: Path) -> None:
    file = tmp_path / "keys" / "tokens.json"
    assert not tokens.required
    desk = tokens.new("desk", "operator")
    assert desk not in file.read_text()
    assert hashlib.sha256(desk.encode()).hexdigest() in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(Conflict, match="already"):
        tokens.new("desk", "bot")
    for name in ("", "a b", "-x", "x" * 65, "local", "../x"):
        with pytest.raises(Invalid):
            tokens.new(name, "bot")
    tokens.revoke("desk")
    with pytest.raises(NotFound):
        tokens.revoke("desk")
    again = tokens.new("desk", "bot")
    held = tokens.holder(again)
    assert held is not None
    assert (held.name, held.role) == ("desk", "bot")
    assert tokens.holder(desk) is None


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o606])
def test_a_file_that_others_may_touch_lets_nobody_in(tokens: TokenFile, tmp_path: Path, mode: int) -> None:
    desk = tokens.new("desk", "operator")
    assert tokens.holder(desk) is not None
    file = tmp_path / "keys" / "tokens.json"
    file.chmod(mode)
    assert (tokens.holder(desk), tokens.required) == (None, True)
    with pytest.raises(Invalid, match=f"mode {mode:04o}.*chmod 600"):
        TokenFile(file).listing()
    file.chmod(0o600)
    assert tokens.holder(desk) is not None
    file.write_text(json.dumps([{"name": "x"}]))
    assert (tokens.holder(desk), tokens.required) == (None, True)
    with pytest.raises(Invalid, match="no file of tokens"):
        tokens.listing()


def test_tokens_made_at_the_same_time_are_all_kept(tokens: TokenFile, tmp_path: Path) -> None:
    def make(i: int) -> str:
        return TokenFile(tmp_path / "keys" / "tokens.json").new(f"bot-{i}", "bot")

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(make, range(24)))
    held = [tokens.holder(secret) for secret in made]
    assert [token.name if token else None for token in held] == [f"bot-{i}" for i in range(24)]
