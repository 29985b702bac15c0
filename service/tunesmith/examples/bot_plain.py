"""A bot in plain pyzmq: python bot_plain.py [REQUESTS [EVENTS [SYMBOL [TRUSTED]]]]. It misses nothing, repeats nothing.

It prints packages of every grade; one that trades looks at `grade` first: criteria, tested or proven.

TRUSTED is a file of public keys (`tunesmith keys signing list --trusted`), which needs the package cryptography: the
bot then heeds nothing that none of them has signed. TUNESMITH_KEY names the key file, where the daemon asks for one.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

REQUESTS, EVENTS = "tcp://127.0.0.1:5555", "tcp://127.0.0.1:5556"
AGAIN_MS = 5_000

Key = dict[str, str]
Socket = zmq.Socket[bytes]


def main(requests: str = REQUESTS, events: str = EVENTS, symbol: str = "BTC/USDT", trusted: str = "") -> None:
    """Print every package, the newest at once, and what takes one out of force."""
    keys = read_keys(Path(trusted)) if trusted else None
    file = os.environ.get("TUNESMITH_KEY")
    key: Key | None = json.loads(Path(file).read_text()) if file else None
    context: zmq.Context[Socket] = zmq.Context()
    asking, hearing = context.socket(zmq.REQ), context.socket(zmq.SUB)
    for socket in (asking, hearing):
        socket.linger, socket.reconnect_ivl_max = 0, 5_000
        if key is not None:
            socket.curve_publickey, socket.curve_secretkey = key["public"].encode(), key["secret"].encode()
            socket.curve_serverkey = key["server"].encode()
    asking.req_relaxed = asking.req_correlate = 1
    asking.connect(requests)
    last: dict[tuple[str, str], int] = {}  # the newest `seq` by topic; another epoch, another database, counts anew
    # a symbol without a slash begins others: ETH and ETH/USDT; what it alone hears has one slash more
    prefix = f"pkg/{symbol}/" if "/" in symbol else f"pkg/{symbol}//"
    for topic, frame, signature in heard(hearing, events, prefix, key):
        event = believed(frame, signature, keys)
        if event is None:
            continue
        place, news = (topic, event.get("epoch", "")), [event]
        if place in last and event["prev"] > last[place]:  # some were lost on the way: ask for them
            records = map(replayed, replay(asking, topic, last[place]))
            news = [event for event in (believed(*record, keys) for record in records) if event is not None]
        for event in news:
            if event["seq"] > last.get(place, 0):
                last[place] = event["seq"]
                print(event["type"], json.dumps(event["data"].get("params", event["data"])), flush=True)  # noqa: T201


def heard(hearing: Socket, address: str, prefix: str, key: Key | None) -> Iterator[tuple[str, bytes, bytes]]:
    """Topic, frame and signature of each event. Who is not let in hears nothing of it; the socket's monitor does."""
    monitor, poller = hearing.get_monitor_socket(), zmq.Poller()
    hearing.connect(address)
    hearing.subscribe(prefix)
    poller.register(hearing, zmq.POLLIN)
    poller.register(monitor, zmq.POLLIN)
    n_broken = 0
    while True:
        ready = dict(poller.poll())
        if monitor in ready:
            happened = parse_monitor_message(monitor.recv_multipart())["event"]
            if happened == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                sys.exit(f"the daemon does not let {key and key['name']} in: the key is revoked or unknown")
            if happened == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
                ask = "the daemon asks for a key: name its file by TUNESMITH_KEY"
                sys.exit("the daemon takes no keys" if key else ask)
            # another daemon's key cannot be told from one that is on its way up or down: it is tried again
            n_broken = 0 if happened == zmq.EVENT_HANDSHAKE_SUCCEEDED else n_broken
            n_broken += happened == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
            if key and n_broken == 10 and happened == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
                print(f"no handshake succeeds: is the key {key['name']} of another daemon?", file=sys.stderr)  # noqa: T201
        if hearing in ready:
            topic, frame, *signature = hearing.recv_multipart()
            yield topic.decode(), frame, signature[0] if signature else b""


def replay(asking: Socket, topic: str, after: int) -> list[dict[str, Any]]:
    """Asked again under the same id until it is answered: a request is lost when the daemon ends."""
    while True:
        data = {"topics": [topic], "after": after}
        asking.send_json({"v": 1, "type": "events.replay", "id": f"after-{after}", "data": data})
        if asking.poll(AGAIN_MS):
            reply = json.loads(asking.recv())
            if reply["ok"]:
                records: list[dict[str, Any]] = reply["data"]["events"]
                return records
            if not reply["error"]["retryable"]:
                sys.exit(reply["error"]["detail"])
            time.sleep(reply["error"].get("retry_after_ms", 1000) / 1000)


def believed(frame: bytes, signature: bytes, keys: Key | None) -> dict[str, Any] | None:
    """The event, or None for one that must not be heeded."""
    try:
        event: dict[str, Any] = dict(json.loads(frame))
    except (ValueError, TypeError):  # no JSON is no event, and nobody has signed it
        event = {}
    if event and (keys is None or is_signed(frame, signature, keys)):
        return event
    print("refused", event.get("type"), flush=True)  # noqa: T201
    return None


def replayed(record: dict[str, Any]) -> tuple[bytes, bytes]:
    """The frame of a replayed event, exactly as it was signed, and its signature."""
    text = record.get("text") or json.dumps(record["event"])
    return str(text).encode(), base64.b64decode(str(record.get("signature") or ""))


def read_keys(file: Path) -> dict[str, str]:
    """Keyid → public key in base64; a retired one is left out."""
    lines = [line.partition("#")[0].split() for line in file.read_text().splitlines()]
    return {words[0]: words[1] for words in lines if len(words) == 2}


def is_signed(frame: bytes, signature: bytes, keys: dict[str, str]) -> bool:
    """Whether a trusted key has signed exactly these bytes."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    public = keys.get(json.loads(frame).get("keyid"))
    try:
        Ed25519PublicKey.from_public_bytes(base64.b64decode(public or "")).verify(signature, frame)
    except (InvalidSignature, ValueError):
        return False
    return True


if __name__ == "__main__":
    main(*sys.argv[1:])
