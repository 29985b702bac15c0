from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from transport.rooms import Room
from tunesmith.config import Limits
from tunesmith.errors import Invalid
from tunesmith.protocol.messages.tasks import LogLine
from tunesmith.transport.http import Health, HttpSidecar, Probes, client_timeouts
from tunesmith.transport.http.rest_routes import ROUTES

START = {"symbol": "BTC/USDT", "strategy_id": "s"}


@pytest.fixture
def room() -> Iterator[Room]:
    with Room(with_http=True) as room:
        yield room


@pytest.fixture
def web(room: Room) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{room.http.endpoint}", timeout=10) as client:
        yield client


def problem(reply: httpx.Response) -> dict[str, Any]:
    assert reply.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = reply.json()
    assert found["status"] == reply.status_code
    assert set(found) >= {"type", "title", "status", "detail", "instance", "code", "retryable", "errors"}
    return found


def test_the_body_is_the_data_and_the_answer_the_replys_data(room: Room, web: httpx.Client) -> None:
    room.call(room.handlers.gate.set)
    headers = {"Idempotency-Key": "key-1", "X-Tunesmith-Client": "desk"}
    reply = web.post("/api/backtest/start", json=START, headers=headers)
    assert reply.status_code == 200
    resolved = {"direction": None, "costs": None, "initial_cash": None}  # by the real handler
    assert reply.json() == {
        "task_id": "key-1", "status": "pending", "estimated_time": 1, "withheld_from": None, **resolved
    }  # fmt: skip
    assert reply.headers["idempotency-key"] == "key-1"
    web.delete("/api/strategies/s1", headers=headers)
    call = room.handlers.seen[-1]
    assert (call.id, call.client, call.door, call.user) == ("key-1", "desk", "http", "local")


def test_answers_leave_at_once_on_a_connection_that_is_kept(room: Room, web: httpx.Client) -> None:
    web.get("/livez")
    [connection] = room.http._server.server_state.connections
    accepted = connection.transport.get_extra_info("socket")
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


_HALF_A_BODY = (
    b"POST /api/messages/ping HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 100\r\n\r\n{"
)


@pytest.mark.parametrize(
    ("sent", "answer"),
    [(b"", b""), (b"GET /livez HTTP/1.1\r\nHost: 127", b""), (_HALF_A_BODY, b"HTTP/1.1 408 ")],
    ids=["nothing", "half a head", "half a body"],
)
def test_who_does_not_finish_a_request_is_not_waited_for(
    room: Room, monkeypatch: pytest.MonkeyPatch, sent: bytes, answer: bytes
) -> None:
    monkeypatch.setattr(client_timeouts, "HEAD_S", 30.0 if answer else 0.2)
    monkeypatch.setattr(client_timeouts, "BODY_S", 0.2)
    with socket.create_connection(room.http.endpoint.split(":"), timeout=30) as idle:
        idle.sendall(sent)
        assert idle.recv(65_536)[: len("HTTP/1.1 408 ")] == answer


def test_who_takes_his_time_between_requests_and_for_an_answer_is_waited_for(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_timeouts, "HEAD_S", 0.5)
    with httpx.Client(base_url=f"http://{room.http.endpoint}", timeout=30) as web:
        threading.Timer(0.8, room.call, [room.handlers.gate.set]).start()
        assert web.post("/api/backtest/start", json=START).status_code == 200
        assert web.get("/livez").status_code == 200


def test_nonsense_is_logged_once_a_second(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    began = time.monotonic()
    for _ in range(30):
        with socket.create_connection(room.http.endpoint.split(":"), timeout=10) as talker:
            talker.sendall(b"\x00nonsense\r\n\r\n")
            assert b" 400 " in talker.recv(65_536)
    lines = [line for line in caplog.messages if "Invalid HTTP" in line]
    assert 1 <= len(lines) <= 2 + (time.monotonic() - began)
    room.close()
    assert logging.getLogger("uvicorn.error").filters == []


def test_without_a_key_each_request_has_an_id_of_its_own(room: Room, web: httpx.Client) -> None:
    for _ in range(2):
        assert web.post("/api/messages/ping", json={}).json()["uptime_s"] is None
    first, second = room.handlers.seen
    assert first.id != second.id


def test_a_query_is_read_as_the_requests_fields(web: httpx.Client) -> None:
    assert web.get("/api/packages?limit=7&in_force=true").json()["total"] == 7001
    refused = problem(web.get("/api/packages?limit=many"))
    assert (refused["code"], refused["errors"][0]["path"]) == ("invalid", "/data/limit")
    assert problem(web.get("/api/packages?colour=red"))["errors"][0]["path"] == "/data/colour"


def test_a_path_fills_the_fields_that_it_names(web: httpx.Client) -> None:
    assert web.put("/api/strategies/s1", json={"version": "2"}).json()["id"] == "s1@2"
    assert web.put("/api/strategies/s1", json={"id": "s1", "version": "2"}).status_code == 200
    assert problem(web.put("/api/strategies/s1", json={"id": "s2", "version": "2"}))["code"] == "invalid"
    assert problem(web.put("/api/strategies/s1", json=[]))["code"] == "invalid"
    assert web.delete("/api/strategies/s1").json() == {"id": "s1", "deleted": True}


def test_refusals_are_problems_with_the_right_status(room: Room, web: httpx.Client) -> None:
    def post(path: str, content: bytes, **headers: str) -> httpx.Response:
        return web.post(path, content=content, headers={"content-type": "application/json", **headers})

    cases = [
        (post("/api/messages/ping", b"no json"), 400, "bad_json"),
        (post("/api/messages/ping", b""), 400, "bad_json"),
        (post("/api/messages/ping", b'{"x":"\xff"}'), 400, "bad_json"),
        (post("/api/messages/ping", b'{"x":NaN}'), 400, "bad_json"),
        (post("/api/messages/ping", b"[" * 500_000), 422, "invalid"),
        (post("/api/messages/ping", b'{"x":1}'), 422, "invalid"),
        (post("/api/messages/pong", b"{}"), 404, "unknown_type"),
        (post("/api/messages/verdict.get", b'{"verdict_id":"v"}'), 404, "not_found"),
        (post("/api/messages/events.snapshot", b'{"topics":["pkg/"]}'), 500, "internal"),
        (post("/api/messages/ping", b" " * 2_000_000), 413, "too_large"),
        (post("/api/messages/task.list", b"{}", **{"X-Tunesmith-Deadline-Ms": "20"}), 504, "deadline_exceeded"),
        (post("/api/messages/ping", b"{}", **{"X-Tunesmith-Deadline-Ms": "soon"}), 422, "invalid"),
        (post("/api/messages/ping", b"{}", **{"Idempotency-Key": "a b"}), 422, "invalid"),
        (post("/api/messages/ping", b"{}", **{"X-Tunesmith-Client": "a/b"}), 422, "invalid"),
        (web.get("/nothing/here"), 404, "not_found"),
        (web.get("/docs"), 404, "not_found"),
        (web.get("/api/messages/ping"), 405, "invalid"),
        (web.delete("/api/strategies"), 405, "invalid"),
        (web.post("/api/messages/ping", content=b"{}", headers={"content-type": "text/plain"}), 415, "invalid"),
        (web.post("/api/messages/ping"), 415, "invalid"),
        (web.post("/api/messages/ping", data={"a": "b"}), 415, "invalid"),
    ]
    for reply, status, code in cases:
        assert (reply.status_code, problem(reply)["code"]) == (status, code), reply.text
    assert "password" not in cases[8][0].text
    assert web.get("/api/messages/ping").headers["allow"] == "POST"
    named = problem(post("/api/messages/ping", b'{"x":1}', **{"Idempotency-Key": "k1"}))
    assert named["instance"] == "urn:tunesmith:request:k1"


def test_a_body_without_an_end_is_cut_at_the_limit(web: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(200):
            yield b"x" * 65_536

    try:
        reply = web.post("/api/messages/ping", content=endless(), headers={"content-type": "application/json"})
    except httpx.TransportError:
        return  # closed while it was still sending, which is an answer as well
    assert problem(reply)["code"] == "too_large"


def test_pages_of_other_sites_cannot_write_or_rebind(room: Room, web: httpx.Client) -> None:
    port = room.http.endpoint.rpartition(":")[2]

    def write(**headers: str) -> httpx.Response:
        return web.post("/api/messages/ping", json={}, headers=headers)

    assert problem(write(Origin="https://evil.example"))["code"] == "forbidden"
    assert problem(write(Origin="null"))["code"] == "forbidden"
    assert problem(write(Origin=f"http://127.0.0.1:{int(port) - 1}"))["code"] == "forbidden"
    assert write(Origin=f"http://127.0.0.1:{port}").status_code == 200
    assert write(Host=f"localhost:{port}", Origin=f"http://localhost:{port}").status_code == 200
    assert write(Host=f"[::1]:{port}").status_code == 200
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "[", "10.0.0.1"):
        assert problem(web.get("/livez", headers={"Host": host}))["code"] == "forbidden"
    assert web.delete("/api/strategies/s", headers={"Origin": "https://evil.example"}).status_code == 403


def test_probes_say_how_the_daemon_is(room: Room, web: httpx.Client) -> None:
    assert web.get("/livez").json() == {"status": "alive"}
    assert web.get("/readyz").json() == {"status": "ready", "reasons": [], "degraded": []}
    room.health = Health(degraded=("redis is away",), details={"version": "1"})
    whole = web.get("/health")
    assert (whole.status_code, whole.json()["status"], whole.json()["version"]) == (200, "degraded", "1")
    room.health = Health(reasons=("no worker is alive",))
    unready = web.get("/readyz")
    assert (unready.status_code, unready.json()["reasons"]) == (503, ["no worker is alive"])
    assert web.get("/health").status_code == 503
    assert web.head("/livez").status_code == 200
    room.broken = RuntimeError("a secret")
    broken = web.get("/readyz")
    assert broken.status_code == 503
    assert "secret" not in broken.text


def test_metrics_come_as_text_and_as_json(web: httpx.Client) -> None:
    text = web.get("/metrics")
    assert text.headers["content-type"].startswith("text/plain; version=")
    assert "# TYPE tunesmith_requests_total counter" in text.text
    tree = web.get("/api/metrics").json()
    assert tree["tunesmith_event_head"]["type"] == "gauge"
    assert tree["process_resident_memory_bytes"]["samples"][0]["value"] > 1e6


def line(n: int) -> LogLine:
    return LogLine(n=n, time="t", level="info", message=f"line {n} ü")


def test_a_log_is_streamed_until_the_task_ends(room: Room, web: httpx.Client) -> None:
    room.handlers.lines = [line(1), line(2)]
    got: list[int] = []
    with web.stream("GET", "/api/tasks/t1/logs") as reply:
        assert reply.headers["content-type"] == "application/x-ndjson"
        for text in reply.iter_lines():
            got.append(json.loads(text)["n"])
            if got == [1, 2]:
                room.handlers.lines = [line(n) for n in range(1, 3001)]
            if len(got) == 3000:
                room.handlers.status = "completed"
    assert got == list(range(1, 3001))


def test_one_who_follows_too_many_logs_is_told_so_until_he_leaves_one() -> None:
    path = "/api/tasks/t1/logs"
    with Room(Limits(in_flight_per_user=2), with_http=True) as room, ExitStack() as kept:
        url = f"http://{room.http.endpoint}"
        room.handlers.lines = [line(1)]
        followers = [kept.enter_context(httpx.stream("GET", url + path, timeout=10)) for _ in range(2)]
        lines = [follower.iter_lines() for follower in followers]  # one that is dropped closes its stream
        assert all(map(next, lines))
        refused = httpx.get(url + path)
        assert (problem(refused)["code"], refused.headers["retry-after"]) == ("busy", "1")
        assert httpx.get(url + "/api/packages").status_code == 200
        followers[0].close()
        while httpx.get(url + path + "?follow=0").status_code == 429:
            time.sleep(0.01)
        room.handlers.status = "completed"


def test_a_log_may_be_had_as_it_is(room: Room, web: httpx.Client) -> None:
    room.handlers.lines = [line(1), line(2)]
    assert [json.loads(t)["n"] for t in web.get("/api/tasks/t/logs?follow=0&after=1").text.splitlines()] == [2]
    text = web.get("/api/tasks/t/logs?follow=0", headers={"Accept": "text/plain"})
    assert text.text == "t info line 1 ü\nt info line 2 ü\n"
    assert problem(web.get("/api/tasks/none/logs"))["code"] == "not_found"
    for query in ("follow=maybe", "after=-1", "after=x", "limit=1"):
        assert problem(web.get(f"/api/tasks/t/logs?{query}"))["code"] == "invalid"


def test_stopping_never_hangs_on_an_open_stream() -> None:
    room = Room(with_http=True)
    opened, ended = threading.Event(), threading.Event()

    def follow() -> None:
        with httpx.stream("GET", f"http://{room.http.endpoint}/api/tasks/t/logs", timeout=20) as reply:
            opened.set()
            list(reply.iter_lines())
        ended.set()

    with room, socket.socket() as half_open:
        room.handlers.lines = [line(1)]
        threading.Thread(target=follow, daemon=True).start()
        assert opened.wait(30)
        host, _, port = room.http.endpoint.rpartition(":")
        half_open.connect((host, int(port)))
        half_open.send(b"POST /api/messages/ping HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n")
        began = time.monotonic()
        room.close()
        assert time.monotonic() - began < 15  # the stream is read for 20 s, the half request for ever
        assert ended.wait(30)


def test_openapi_and_asyncapi_describe_what_is_there(web: httpx.Client) -> None:
    document = web.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for route in ROUTES:
        assert route.method.lower() in document["paths"][route.path]
    text = json.dumps(document)
    for reference in {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}:
        Draft202012Validator.check_schema(document["components"]["schemas"][reference])
    assert web.get("/asyncapi.json").json()["asyncapi"] == "3.0.0"


def test_a_taken_port_and_an_open_one_are_refused(room: Room) -> None:
    async def health() -> Health:
        return Health()

    def door(address: str) -> HttpSidecar:
        return HttpSidecar(address, room.router, Limits(), Probes(health))

    with pytest.raises(Invalid, match=r"server\.http.*in use"):
        room.call(door, room.http.endpoint)
    with pytest.raises(Invalid, match="insecure_bind"):
        room.call(door, "0.0.0.0:0")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("order", [0, 1])
def test_a_length_that_is_said_twice_is_refused_and_nothing_is_read_behind_it(
    room: Room, method: str, order: int
) -> None:
    hidden = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    lengths = [b"Transfer-Encoding: chunked", b"Content-Length: %d" % (5 + len(hidden))]
    head = [f"{method} /api/backtest/start HTTP/1.1".encode(), b"Host: localhost", b"Content-Type: application/json"]
    request = b"\r\n".join([*head, lengths[order], lengths[1 - order], b"", b""]) + b"0\r\n\r\n" + hidden
    with socket.create_connection(room.http.endpoint.split(":"), timeout=10) as talker:
        talker.sendall(request)
        answer = b""
        while piece := talker.recv(65_536):  # until the daemon closes
            answer += piece
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1, "what was hidden behind it is no request"
    assert b"the body's length is said twice" in answer
    assert room.handlers.seen == []
