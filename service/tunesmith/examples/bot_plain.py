"""A bot in plain pyzmq: python bot_plain.py [REQUESTS [EVENTS [SYMBOL]]]. It misses nothing and repeats nothing."""

from __future__ import annotations

import json
import sys

import zmq

REQUESTS, EVENTS = "tcp://127.0.0.1:5555", "tcp://127.0.0.1:5556"


def main(requests: str = REQUESTS, events: str = EVENTS, symbol: str = "BTC/USDT") -> None:
    """Print every package, the newest at once, and what takes one out of force."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    asking, hearing = context.socket(zmq.REQ), context.socket(zmq.SUB)
    asking.connect(requests)
    hearing.connect(events)
    hearing.subscribe(f"pkg/{symbol}/")
    last: dict[str, int] = {}  # the newest `seq` by topic
    while True:
        topic, frame = (part.decode() for part in hearing.recv_multipart()[:2])
        news = [json.loads(frame)]
        if topic in last and news[0]["prev"] > last[topic]:  # some were lost on the way: ask for them
            data = {"topics": [topic], "after": last[topic]}
            asking.send_json({"v": 1, "type": "events.replay", "id": f"after-{last[topic]}", "data": data})
            news = [record["event"] for record in json.loads(asking.recv())["data"]["events"]]
        for event in news:
            if event["seq"] > last.get(topic, 0):
                last[topic] = event["seq"]
                print(event["type"], json.dumps(event["data"].get("params", event["data"])), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
