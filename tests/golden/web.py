"""What the daemon says over HTTP: status, content type, the headers that are its own, and the body."""

from __future__ import annotations

import http.client
import json
import re
from typing import Any

from golden.conversation import Said

_OWN_HEADERS = ("content-type", "idempotency-key", "www-authenticate", "retry-after", "cache-control",
                "x-content-type-options", "allow")  # fmt: skip
_SAMPLE = re.compile(r"^(\w+)(?:\{([^}]*)\})? ", re.MULTILINE)


class Web:
    """Asks one HTTP door and keeps what it says."""

    def __init__(self, address: str, said: Said, token: str | None = None) -> None:
        self._address, self._said, self._token = address, said, token

    def ask(self, name: str, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The body of the answer, as JSON where it is; `headers` with underscores for dashes."""
        status, told, text = self.fetch(method, path, body, {"idempotency_key": name, **headers})
        answer = (
            json.loads(text)
            if "json" in told.get("content-type", "") and "ndjson" not in told["content-type"]
            else text
        )
        shown = body if len(str(body)) < 1000 else "<long>"
        step = {"asked": f"{method} {path}", "body": shown, "headers": headers, "status": status, "told": told}
        self._said.keep(name, {**step, "answer": answer})
        return answer

    def fetch(self, method: str, path: str, body: Any, headers: dict[str, str]) -> tuple[int, dict[str, str], str]:
        """Status, own headers and text of an answer; nothing is kept."""
        connection = http.client.HTTPConnection(self._address, timeout=60)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            sent = {"content-type": "application/json", **sent}
        if self._token is not None and "authorization" not in sent:
            sent["authorization"] = f"Bearer {self._token}"
        connection.request(method, path, body if isinstance(body, str | None) else json.dumps(body), sent)
        reply = connection.getresponse()
        text = reply.read().decode()
        told = {name: value for name in _OWN_HEADERS if (value := reply.getheader(name)) is not None}
        connection.close()
        return reply.status, told, text

    def metric_names(self, name: str) -> None:
        """Keep the names of the Prometheus metrics, with the names of their labels."""
        _, _, text = self.fetch("GET", "/metrics", None, {})
        samples = {(found[0], tuple(re.findall(r"(\w+)=", found[1]))) for found in _SAMPLE.findall(text)}
        ours = {metric: list(labels) for metric, labels in sorted(samples) if metric.startswith("tunesmith")}
        self._said.keep(name, ours)


def browse(web: Web, ids: dict[str, str], symbol: str, rule: str) -> None:
    """Ask every route, in success and in refusal; `ids` names a backtest, a search and a report that are there."""
    web.ask("http-livez", "GET", "/livez")
    web.ask("http-backtest-status", "GET", f"/api/backtest/status/{ids['backtest']}")
    web.ask("http-strategies", "GET", "/api/strategies?limit=1")
    web.ask("http-strategy", "GET", f"/api/strategies/{rule}")
    code = "enter_long(close > 1)\nexit_long(close < 1)\n"
    web.ask("http-strategy-create", "POST", "/api/strategies", {"id": "web", "code": code})
    web.ask("http-strategy-update", "PUT", "/api/strategies/web", {"version": "1.1", "name": "Web"})
    web.ask("http-strategy-delete", "DELETE", "/api/strategies/web")
    web.ask("http-search-status", "GET", f"/api/optimization/status/{ids['search']}")
    web.ask("http-search-results", "GET", f"/api/optimization/results/{ids['search']}?limit=2&sort=total_return")
    web.ask("http-reports", "GET", "/api/reports?limit=1&symbol=" + symbol.replace("/", "%2F"))
    web.ask("http-report-none", "GET", "/api/reports/rp-0")
    web.ask("http-packages", "GET", "/api/packages?limit=1")
    web.ask(
        "http-any", "POST", "/api/messages/task.logs", {"task_id": ids["search"], "limit": 1}, x_tunesmith_client="b"
    )
    web.ask("http-logs", "GET", f"/api/tasks/{ids['search']}/logs?follow=0")
    web.ask("http-logs-text", "GET", f"/api/tasks/{ids['search']}/logs?follow=0", accept="text/plain")
    started = web.ask("http-backtest", "POST", "/api/backtest/start", {"symbol": symbol, "strategy_id": rule})
    again = web.fetch(
        "POST", "/api/backtest/start", {"symbol": symbol, "strategy_id": rule}, {"idempotency-key": "http-backtest"}
    )
    assert json.loads(again[2]) == started, "the stored reply is sent again"
    web.ask("http-nothing", "GET", "/api/nothing")
    web.ask("http-method", "PUT", "/api/packages", {})
    web.ask("http-unknown-type", "POST", "/api/messages/backtest.begin", {})
    web.ask("http-no-json", "POST", "/api/messages/ping", "{")
    web.ask("http-bad-field", "POST", "/api/backtest/start", {"symbol": symbol, "strategy_id": rule, "fil": 1})
    web.ask("http-bad-query", "GET", "/api/strategies?limit=many")
    web.ask("http-path-and-body", "PUT", "/api/strategies/web", {"id": "other", "version": "2"})
    web.ask("http-content-type", "POST", "/api/messages/ping", "{}", content_type="text/plain")
    web.ask("http-origin", "POST", "/api/messages/ping", {}, origin="http://example.org")
    web.ask("http-host", "GET", "/livez", host="example.org")
    web.ask("http-bad-deadline", "POST", "/api/messages/ping", {}, x_tunesmith_deadline_ms="soon")
    web.ask("http-bad-client", "POST", "/api/messages/ping", {}, x_tunesmith_client="a b")
    web.ask("http-large", "POST", "/api/messages/strategy.create", {"id": "large", "code": "#" * 300_000})
    web.ask("http-bad-token", "GET", "/api/strategies", authorization="Bearer tsm_wrong")
    web.metric_names("http-metrics")
