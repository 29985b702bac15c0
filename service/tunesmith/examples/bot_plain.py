"""A bot in plain pyzmq: python bot_plain.py [REQUESTS [EVENTS [SYMBOL [TRUSTED]]]]. It misses nothing, repeats nothing.

TRUSTED is a file of public keys (`tunesmith keys signing list --trusted`), which needs the package cryptography: the
bot then heeds nothing that none of them has signed.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path

import zmq

REQUESTS, EVENTS = "tcp://127.0.0.1:5555", "tcp://127.0.0.1:5556"


def main(requests: str = REQUESTS, events: str = EVENTS, symbol: str = "BTC/USDT", trusted: str = "") -> None:
    """Print every package, the newest at once, and what takes one out of force."""
    keys = read_keys(Path(trusted)) if trusted else None
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    asking, hearing = context.socket(zmq.REQ), context.socket(zmq.SUB)
    if os.environ.get("TUNESMITH_KEY"):
        key = json.loads(Path(os.environ["TUNESMITH_KEY"]).read_text())
        for socket in (asking, hearing):
            socket.curve_publickey, socket.curve_secretkey = key["public"].encode(), key["secret"].encode()
            socket.curve_serverkey = key["server"].encode()
    asking.connect(requests)
    hearing.connect(events)
    hearing.subscribe(f"pkg/{symbol}/")
    last: dict[str, int] = {}  # the newest `seq` by topic
    epoch = None  # of the database: one that was restored counts anew
    while True:
        topic_frame, frame, *signatures = hearing.recv_multipart()
        topic, news = topic_frame.decode(), [(frame, signatures[0] if signatures else b"")]
        heard = json.loads(frame)
        if heard.get("epoch") != epoch and (keys is None or is_signed(*news[0], keys)):
            epoch, last = heard.get("epoch"), {}
        if topic in last and heard["prev"] > last[topic]:  # some were lost on the way: ask for them
            data = {"topics": [topic], "after": last[topic]}
            asking.send_json({"v": 1, "type": "events.replay", "id": f"after-{last[topic]}", "data": data})
            news = [replayed(record) for record in json.loads(asking.recv())["data"]["events"]]
        for text, signature in news:
            event = json.loads(text)
            if keys is not None and not is_signed(text, signature, keys):
                print("refused", event.get("type"), flush=True)  # noqa: T201
            elif event["seq"] > last.get(topic, 0):
                last[topic] = event["seq"]
                print(event["type"], json.dumps(event["data"].get("params", event["data"])), flush=True)  # noqa: T201


def replayed(record: dict[str, object]) -> tuple[bytes, bytes]:
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
