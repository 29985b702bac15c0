"""What comes in when nobody means well: every answer is a reply as the contract has it, and memory is flat.

    python tests/benchmarks/fuzz_frames.py [--frames 1000000] [--examples 200] [--seed N]

Messages of every type with bytes flipped, cut, put in or doubled, or with a field exchanged for something hostile;
random bytes; one to forty frames; strategy code that was made to hurt a parser; bytes at the inbox and events doors,
which are not answered. Several clients send and count their answers; memory is looked at after each tenth. Then
schemathesis (EXAMPLES for each operation) over HTTP. The exit code is 1 when an answer is missing or malformed, when
something was `internal`, when the daemon ended, when its memory grew by more than a tenth from half of the frames to
all of them, or when schemathesis found an answer that the daemon's own OpenAPI does not promise.
"""

from __future__ import annotations

import argparse
import json
import random
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import zmq
from msgspec import inspect

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from benchmarks.loads import dealers, memory_mb  # noqa: E402
from journeys.conftest import import_markets  # noqa: E402
from journeys.daemon import DaemonProcess  # noqa: E402
from reference.hostile import HOSTILE, kinds  # noqa: E402
from tunesmith.compute.strategies import BUILTIN_IDS, builtin  # noqa: E402
from tunesmith.config import Limits  # noqa: E402
from tunesmith.errors import BY_CODE  # noqa: E402
from tunesmith.protocol.catalog import MESSAGES  # noqa: E402

LONGEST = Limits().max_message_bytes
CLIENTS = 8
ON_THE_WIRE = 24
UNANSWERED_S = 120.0
MAY_GROW = 1.1
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection"
)
"""What an answer must keep. Not that everything of the right form is accepted: a market may be unknown."""

NOT_OVER_HTTP = "reports/|report.get|walkforward.status|workers.resize|session.plan"
"""The first three reply with pairs, which schemathesis 4.32 rewrites and then refuses; the others as in `LEFT_OUT`."""

LEFT_OUT = {"workers.resize", "session.plan"}
"""What would start hundreds of processes, or take the workers' time instead of the doors'."""

SETTINGS = {"TUNESMITH_LOG__LEVEL": "error", "TUNESMITH_LIMITS__STRATEGY_CHANGES_PER_MINUTE": "1000000"}
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 2**63, -(2**63), 10**30, 1e308, -1e-308, "", "x" * 70, "x" * 5_000, [], {}, [[]]),
    *("\0", "\ud7ff", "../../etc/passwd", "'; DROP TABLE tasks; --", "%s%n", "BTC/USDT", "ma_cross_v1.0", "1h", "nan"),
    *({"min": 1, "max": 10**9, "step": 1e-9}, {"values": list(range(500))}, ["sharpe"] * 50, {"a": {"b": {"c": 1}}}),
]
NAMES = ["BTC/USDT", "ma_cross_v1.0", "rsi_reversion", "2024-01-01", "2024-02-01", "1h", "a", "sharpe"]

Frames = list[bytes]


class Found(NamedTuple):
    """What came of a run: answers by code, malformed ones, those that never came, MB at half and at the end."""

    codes: Counter[str]
    malformed: list[bytes]
    n_missing: int
    half_mb: float
    last_mb: float
    n_inbox: int

    @property
    def is_good(self) -> bool:
        """Whether every promise was kept."""
        kept = not self.malformed and not self.n_missing and not self.codes["internal"]
        return kept and self.last_mb <= MAY_GROW * self.half_mb


def sample(kind: inspect.Type, draw: random.Random) -> Any:
    """A value that a field of this type might have."""
    match kind:
        case inspect.StructType(fields=fields):
            kept = (f for f in fields if f.required or draw.random() < 0.3)
            return {field.encode_name: sample(field.type, draw) for field in kept}
        case inspect.UnionType(types=types):
            return sample(draw.choice(types), draw)
        case inspect.LiteralType(values=values):
            return draw.choice(values)
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return [sample(item, draw) for _ in range(draw.randint(1, 3))]
        case inspect.DictType(value_type=value):
            return {draw.choice(NAMES): sample(value, draw) for _ in range(draw.randint(0, 2))}
        case inspect.BoolType():
            return draw.random() < 0.5
        case inspect.IntType(ge=least):
            return (least or 0) + draw.randint(0, 20)
        case inspect.FloatType():
            return draw.uniform(0.0, 2.0)
        case inspect.StrType():
            return draw.choice(NAMES)
    return None


class Fuzzer:
    """Makes frames that nobody should send, from a seed."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self._types = {
            name: inspect.type_info(message.request) for name, message in MESSAGES.items() if name not in LEFT_OUT
        }
        self._hostile = list(
            kinds([builtin(name).code for name in BUILTIN_IDS if builtin(name).kind == "rule"]).values()
        )
        self._n = 0

    def frames(self) -> Frames:
        """The frames of one message; every one of them is to be answered, as longer ones are not: they cut off."""
        draw = self._draw
        body = draw.choices(
            (self._mutated, self._exchanged, self._random, self._code, self._whole), (35, 35, 12, 3, 15)
        )
        made = body[0]()
        while len(made) > LONGEST:
            made = body[0]()
        n_before = draw.choices((0, 1, 2, 3, 8, 39), (60, 25, 5, 5, 3, 2))[0]
        before = [b"" if draw.random() < 0.5 else draw.randbytes(draw.randint(0, 40)) for _ in range(n_before)]
        return [*before, made]

    def junk(self) -> Frames:
        """Frames for a door that does not answer."""
        return self.frames() if self._draw.random() < 0.7 else [self._random() for _ in range(self._draw.randint(1, 5))]

    def _message(self) -> dict[str, Any]:
        self._n += 1
        name = self._draw.choice(list(self._types))
        made = {"v": 1, "type": name, "id": f"z{self._n}", "data": sample(self._types[name], self._draw)}
        if self._draw.random() < 0.2:
            made["client"] = "fuzz"
        return made | {"deadline_ms": 2_000}

    def _whole(self) -> bytes:
        return msgspec.json.encode(self._message())

    def _mutated(self) -> bytes:
        draw, made = self._draw, bytearray(self._whole())
        for _ in range(draw.randint(1, 8)):
            at, how = draw.randrange(len(made) + 1), draw.randrange(5)
            if how == 0 and at < len(made):
                made[at] = draw.randrange(256)
            elif how == 1:
                del made[at : at + draw.randint(1, 30)]
            elif how == 2:
                made[at:at] = draw.randbytes(draw.randint(1, 20))
            elif how == 3:
                made[at:at] = draw.choice((b"[" * 500, b'"', b"}", b"{", b"\\u0000", b"1e999", b"NaN", b"\xff\xfe"))
            else:
                made[at:at] = made[at : at + draw.randint(1, 60)]
        return bytes(made)

    def _exchanged(self) -> bytes:
        message = self._message()
        where: Any = message if self._draw.random() < 0.2 or not message["data"] else message["data"]
        where[self._draw.choice([*where, "other"])] = self._draw.choice(VALUES)
        return msgspec.json.encode(message)

    def _random(self) -> bytes:
        return self._draw.randbytes(self._draw.choice((0, 1, 10, 100, 2_000, 50_000)))

    def _code(self) -> bytes:
        draw = self._draw
        code = draw.choice(list(HOSTILE.values())) if draw.random() < 0.2 else draw.choice(self._hostile)(draw)
        data = {"id": draw.choice(("a", "b", "c")), "name": "N", "version": str(self._n), "code": code}
        made = {**self._message(), "type": draw.choice(("strategy.create", "strategy.update")), "data": data}
        return json.dumps(made).encode("utf-8", "surrogatepass")


def is_reply(frame: bytes) -> str | None:
    """The code of a well-formed reply; None for anything else."""
    try:
        reply = json.loads(frame)
        known = reply["v"] == 1 and reply["type"].endswith(".reply") and (reply["id"] is None or reply["id"])
        if reply["ok"]:
            return "ok" if known and "data" in reply else None
        error = reply["error"]
        told = {"type", "title", "status", "detail", "code", "retryable", "errors"} <= set(error)
        return error["code"] if known and told and error["code"] in BY_CODE else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


class Crowd:
    """Clients that keep some messages each on the wire and look at every answer."""

    def __init__(self, context: zmq.Context[Any], doors: dict[str, str]) -> None:
        self.codes: Counter[str] = Counter()
        self.malformed: list[bytes] = []
        self._sockets = dealers(context, doors["requests"], CLIENTS)
        self._inbox, self._events = context.socket(zmq.PUB), context.socket(zmq.XSUB)
        self._inbox.linger = self._events.linger = 0
        self._inbox.connect(doors["inbox"])
        self._events.connect(doors["events"])
        self._waiting = dict.fromkeys(self._sockets, 0)
        self._poller = zmq.Poller()
        for socket in self._sockets:
            self._poller.register(socket, zmq.POLLIN)

    @property
    def n_waiting(self) -> int:
        return sum(self._waiting.values())

    def send(self, fuzzer: Fuzzer, n: int) -> None:
        """Send so many messages."""
        for _ in range(n):
            while min(self._waiting.values()) >= ON_THE_WIRE:
                assert self.hear(UNANSWERED_S), "no answer came"
            socket = min(self._sockets, key=self._waiting.__getitem__)
            socket.send_multipart(fuzzer.frames())
            self._waiting[socket] += 1

    def drop(self, fuzzer: Fuzzer) -> None:
        """Send something to the doors that do not answer."""
        self._inbox.send_multipart(fuzzer.junk())
        self._events.send_multipart(fuzzer.junk())
        while self._events.poll(0):
            self._events.recv_multipart()

    def hear(self, seconds: float) -> bool:
        """Take in the answers that are there; whether any was."""
        ready = self._poller.poll(int(1000 * seconds))
        for socket, _ in ready:
            while socket.poll(0):
                answer = socket.recv_multipart()[-1]
                self._waiting[socket] -= 1
                code = is_reply(answer)
                self.codes[code or "malformed"] += 1
                if code is None:
                    self.malformed.append(answer[:500])
        return bool(ready)

    def close(self) -> None:
        for socket in (*self._sockets, self._inbox, self._events):
            socket.close()


def fuzz(daemon: DaemonProcess, n: int, seed: int, says: Callable[[str], None] = lambda text: None) -> Found:
    """Send `n` messages to a running daemon."""
    assert daemon.process is not None
    fuzzer, megabytes, began, n_inbox = Fuzzer(seed), [], time.perf_counter(), 0
    with zmq.Context() as context:
        crowd = Crowd(context, daemon.doors)
        for tenth in range(10):
            for _ in range(10):
                crowd.send(fuzzer, max(1, n // 100))
                for _ in range(max(1, n // 10_000)):
                    crowd.drop(fuzzer)
                    n_inbox += 1
            megabytes.append(memory_mb(daemon.process.pid))
            says(
                f"{tenth + 1:3}/10  {megabytes[-1]:7.1f} MB  {time.perf_counter() - began:7.1f} s  {dict(crowd.codes)}"
            )
        while crowd.n_waiting and crowd.hear(UNANSWERED_S):
            pass
        missing = crowd.n_waiting
        crowd.close()
        assert daemon.process.poll() is None, "the daemon ended"
    return Found(crowd.codes, crowd.malformed, missing, megabytes[4], megabytes[-1], n_inbox)


def over_http(address: str, examples: int, seed: int, phases: str = "fuzzing") -> int:
    """Have schemathesis ask every operation of the sidecar; its exit code, 0 when every answer was as promised."""
    tool = Path(sys.executable).parent / "schemathesis"
    url = address if address.startswith("http") else f"http://{address}"
    options = ["--max-examples", str(examples), "--seed", str(seed), "--phases", phases, "--checks", CHECKS]
    options += ["--no-color", "--generation-database", "none", "--exclude-path-regex", NOT_OVER_HTTP]
    options += ["--header", "X-Tunesmith-Deadline-Ms: 60000"]  # a deadline of a millisecond is answered by 504, rightly
    with tempfile.TemporaryDirectory() as folder:  # where it leaves its own files
        command = [tool, "run", f"{url}/openapi.json", *options]
        return subprocess.run(command, check=False, cwd=folder).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        import_markets(Path(name))
        daemon = DaemonProcess(Path(name), SETTINGS)
        daemon.start()
        try:
            found = fuzz(daemon, options.frames, options.seed, lambda text: print(text, flush=True))
            http = over_http(daemon.doors["http"], options.examples, options.seed) if options.examples else 0
        finally:
            code = daemon.stop()
    print(f"{found.codes.total():,} answers: {dict(found.codes)}; {found.n_missing} never came")
    print(f"{len(found.malformed)} malformed {found.malformed[:3]}; the daemon ended with {code} when told to")
    print(f"{found.half_mb:.0f} MB after half of the frames, {found.last_mb:.0f} MB after all")
    return 0 if found.is_good and code == http == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
