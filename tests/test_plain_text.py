"""Text that others wrote: refused where it is stored, escaped where it is shown."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from tunesmith import telemetry
from tunesmith.cli import tables
from tunesmith.config import Log
from tunesmith.errors import Invalid, from_problem
from tunesmith.plain_text import escape, escape_all, escape_json, find_control
from tunesmith.protocol.catalog import MESSAGES
from tunesmith.protocol.codec import decode_data

HOSTILE = "\x1b]0;title\x07\x1b[2J\r\n\x9b31m\u202eevil\u2066\x7f\x00"
ESCAPED = r"\x1b]0;title\x07\x1b[2J\r\n\x9b31m\u202eevil\u2066\x7f\x00"
FRIENDLY = "Überschrift 日本語 👩‍🔧 ﬁ — 'quoted' \\x1b"


@given(st.text())
def test_what_is_escaped_holds_nothing_to_escape_and_nothing_else_is_changed(text: str) -> None:
    assert find_control(escape(text)) is None
    assert find_control(escape(text, multiline=True), multiline=True) is None
    assert escape(escape(text)) == escape(text)
    if find_control(text) is None:
        assert escape(text) == text
    assert json.loads(escape_json(json.dumps(text, ensure_ascii=False))) == text


def test_text_is_escaped_wherever_it_stands_and_code_keeps_its_lines() -> None:
    assert (escape(HOSTILE), escape(FRIENDLY)) == (ESCAPED, FRIENDLY)
    reply = {"reason": "a\nb", "code": "a\n\tb\x1b", "list": [{"\x07": HOSTILE}], "n": 1.5, "none": None}
    assert escape_all(reply) == {
        "reason": r"a\nb", "code": "a\n\tb\\x1b", "list": [{r"\x07": ESCAPED}], "n": 1.5, "none": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("message", "data", "path"),
    [
        ("package.ack", {"package_id": "a" * 64, "reason": "it works\x1b[2J"}, "/data/reason"),
        ("package.revoke", {"package_id": "a" * 64, "reason": "one\ntwo"}, "/data/reason"),
        ("package.rollback", {"package_id": "a" * 64, "reason": "\u202eevil"}, "/data/reason"),
        ("strategy.create", {"id": "s", "name": "bell\x07", "code": "enter_long(True)"}, "/data/name"),
        ("strategy.create", {"id": "s", "code": "enter_long(True)  # \x9b"}, "/data/code"),
        ("strategy.create", {"id": "s", "code": "x", "default_params": {"a\x1b": 1}}, "/data/default_params"),
        ("backtest.start", {"symbol": "A/B", "strategy_id": "s", "params": {"mode": "\x7f"}}, "/data/params/mode"),
        (
            "optimization.start",
            {"symbol": "A/B", "strategy_id": "s", "param_ranges": {"mode": {"values": ["a", "\u2066b"]}}},
            "/data/param_ranges/mode/values/1",
        ),
        ("optimization.start", {"symbol": "A/B", "strategy_id": "s", "optimization_target": "a\x1b"},
         "/data/optimization_target"),
        ("audit.list", {"user": "ann\r"}, "/data/user"),
    ],
)  # fmt: skip
def test_control_characters_are_refused_at_their_field(message: str, data: dict[str, Any], path: str) -> None:
    with pytest.raises(Invalid, match="text must not hold the character") as refused:
        decode_data(MESSAGES[message].request, msgspec.json.encode(data))
    assert refused.value.path == path
    assert find_control(refused.value.message) is None


def test_code_and_expressions_may_have_lines_and_names_any_letter() -> None:
    kept = {"id": "s", "name": FRIENDLY, "code": "# what\n\tenter_long(True)\n"}
    request = decode_data(MESSAGES["strategy.create"].request, msgspec.json.encode(kept))
    assert (request.name, request.code) == (FRIENDLY, kept["code"])
    target = {"symbol": "A/B", "strategy_id": "s", "optimization_target": "sharpe\n  * 2", "conditions": ["a <\n b"]}
    assert decode_data(MESSAGES["optimization.start"].request, msgspec.json.encode(target)).conditions == ["a <\n b"]


def test_errors_tables_and_facts_show_it_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    problem = Invalid(f"no {HOSTILE}", path="/data/x").problem()
    assert ESCAPED.replace(r"\n", "\n") in from_problem(problem).message
    tables.show_table(("name",), [(HOSTILE,)])
    tables.show_facts({"reason": HOSTILE})
    tables.remark(HOSTILE)
    print(tables.fill_text(HOSTILE))
    shown = capsys.readouterr()
    assert find_control(shown.out + shown.err, multiline=True) is None
    assert shown.out.count("\\x1b]0;title") == 3


@pytest.mark.parametrize("format", ["human", "json"])
def test_a_log_line_stays_one_line_and_says_nothing_to_a_terminal(format: Any) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    try:
        telemetry.configure_logging(Log(format=format), stream)
        structlog.get_logger("t").warning("task failed", reason=HOSTILE.replace(" ", ""), user="ann")
        logging.getLogger("t").warning("refused: %s", HOSTILE)
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            structlog.get_logger("t").exception("it broke")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        structlog.reset_defaults()
    lines = stream.getvalue()
    assert find_control(lines.replace("\x7f", "") if format == "json" else lines, multiline=True) is None
    assert [i for i, line in enumerate(lines.splitlines()) if "title" in line][:2] == [0, 1]
