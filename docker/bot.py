"""An example bot: prints what it is told about packages. python bot.py ADDRESS [TOPIC]"""

from __future__ import annotations

import json
import sys

import zmq


def main(address: str, topic: str = "pkg/") -> None:
    """Subscribe to `topic` and print each event until the process is ended."""
    events = zmq.Context.instance().socket(zmq.SUB)
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
