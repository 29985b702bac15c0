"""Secrets are masked in whatever is said: addresses, tokens, errors, log lines with their tracebacks."""

from __future__ import annotations

import io
import json
import logging
import pickle
from collections.abc import Iterator

import pytest
import structlog

from tunesmith import masking, telemetry
from tunesmith.config import Log
from tunesmith.errors import FieldError, Internal, Invalid, from_problem
from tunesmith.masking import MASK, hide_credentials, mask

TOKEN = "tsm_" + "x" * 43


@pytest.fixture(autouse=True)
def nothing_stays_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "_hidden", set())


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("redis://user:p@ss@host:6379/0 is away", f"redis://{MASK}@host:6379/0 is away"),
        ("'https://feed:hush@host/bars' does not answer", f"'https://{MASK}@host/bars' does not answer"),
        ("https://host/bars?symbol=A&api_key=hush&limit=5", f"https://host/bars?symbol=A&api_key={MASK}&limit=5"),
        ("redis://h/0?password=hush", f"redis://h/0?password={MASK}"),
        (f"the token {TOKEN} is unknown", f"the token tsm_{MASK} is unknown"),
        ("authorization: Bearer abcdefgh.ijkl", f"authorization: Bearer {MASK}"),
        ("Authorization: Bearer TOKEN; a plain text", "Authorization: Bearer TOKEN; a plain text"),
        ('{"a": "tcp://127.0.0.1:5555", "b": "x@y"}', '{"a": "tcp://127.0.0.1:5555", "b": "x@y"}'),
        ('{"a":"tcp://127.0.0.1:5555","b":"x@y"}', '{"a":"tcp://127.0.0.1:5555","b":"x@y"}'),
    ],
)
def test_what_is_secret_by_its_form_is_masked_and_nothing_else(text: str, masked: str) -> None:
    assert mask(text) == masked


def test_what_was_named_is_masked_wherever_it_stands() -> None:
    hide_credentials("redis://user:p%40ss%22word@host/0")
    hide_credentials("redis://host/0")
    hide_credentials("http://[nonsense")
    for form in ("p%40ss%22word", 'p@ss"word', json.dumps('p@ss"word')):
        assert "word" not in mask(f"AUTH failed with {form}.")
    assert mask("nothing of that kind") == "nothing of that kind"


def test_errors_hold_no_secrets_on_any_way() -> None:
    told = f"https://feed:hush@host does not answer to {TOKEN}"
    error = Internal(told, errors=(FieldError("/data", told),))
    field = Invalid(told, path="/data/x")
    copies = [error, field, pickle.loads(pickle.dumps(error)), from_problem(error.problem()), Internal(error.message)]
    for each in copies:
        said = f"{each} {each!r} {each.message} {each.errors} {each.args} {json.dumps(each.problem())}"
        assert "hush" not in said
        assert TOKEN not in said
        assert f"https://{MASK}@host" in said
    assert from_problem({"code": "internal", "detail": told}).message == error.message


@pytest.mark.parametrize("form", ["json", "human"])
def test_log_lines_hold_none_not_even_in_tracebacks(stream: io.StringIO, form: str) -> None:
    hide_credentials("redis://user:swordfish@host/0")
    telemetry.configure_logging(Log(level="debug", format=form), stream)  # type: ignore[arg-type]
    try:
        raise ValueError(f"connect to redis://user:hush@host with {TOKEN}")
    except ValueError:
        structlog.get_logger("x").exception("failed", url="redis://user:hush@host", header=f"Bearer {TOKEN}")
        logging.getLogger("library").exception("WRONGPASS for swordfish")
    said = stream.getvalue()
    assert "ValueError" in said
    for secret in ("hush", "swordfish", TOKEN):
        assert secret not in said
    if form == "json":
        assert [json.loads(line)["level"] for line in said.splitlines()] == ["error", "error"]
