"""An example bot: prints what it is told about packages. python bot.py ADDRESS [TOPIC]

Where the daemon asks for a key, TUNESMITH_KEY names the file.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import zmq


def main(address: str, topic: str = "pkg/") -> None:
    """Subscribe to `topic` and print each event until the process is ended."""
    events = zmq.Context.instance().socket(zmq.SUB)
    if os.environ.get("TUNESMITH_KEY"):
        key = json.loads(Path(os.environ["TUNESMITH_KEY"]).read_text())
        events.curve_publickey, events.curve_secretkey = key["public"].encode(), key["secret"].encode()
        events.curve_serverkey = key["server"].encode()
    events.connect(address)
    events.subscribe(topic)
    print(f"listening at {address} for {topic}", flush=True)
    while True:
        frames = events.recv_multipart()
        event = json.loads(frames[1])
        data = event["data"]
        what = {name: data.get(name) for name in ("grade", "symbol", "strategy_id", "params", "valid_until", "reason")}
        print(event["type"], json.dumps({name: value for name, value in what.items() if value is not None}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
