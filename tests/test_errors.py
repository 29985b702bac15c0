"""The error tree and its form on the wire."""

from __future__ import annotations

import pickle

import pytest

from tunesmith.errors import BY_CODE, Busy, FieldError, Internal, Invalid, TunesmithError, from_problem


@pytest.mark.parametrize("kind", BY_CODE.values(), ids=BY_CODE)
def test_an_error_survives_the_wire_and_a_process_boundary(kind: type[TunesmithError]) -> None:
    error = kind("what happened", errors=(FieldError("/data/a", "wrong"),), retry_after_ms=5)
    for back in (from_problem(error.problem("urn:x")), pickle.loads(pickle.dumps(error))):
        assert type(back) is kind
        assert (back.message, back.errors, back.retry_after_ms) == ("what happened", error.errors, 5)


def test_a_problem_has_the_members_of_the_protocol() -> None:
    assert Invalid("no", path="/data/x").problem("urn:tunesmith:request:7") == {
        "type": "urn:tunesmith:error:invalid",
        "title": "Invalid request",
        "status": 422,
        "detail": "no",
        "instance": "urn:tunesmith:request:7",
        "code": "invalid",
        "retryable": False,
        "errors": [{"path": "/data/x", "message": "no"}],
    }
    assert Busy("later", retry_after_ms=50).problem()["retry_after_ms"] == 50


def test_an_unknown_code_is_internal() -> None:
    assert type(from_problem({"code": "from_the_future", "detail": "?"})) is Internal
