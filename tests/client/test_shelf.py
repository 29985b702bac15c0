"""The shelf: which packages a bot is handed, whatever else happens on their topic."""

from __future__ import annotations

from typing import Any

import pytest

from client.daemon import TOPIC, package
from tunesmith.client import package_shelf
from tunesmith.client.package_shelf import PackageEvent, PackageShelf

A, B, C = "a" * 64, "b" * 64, "c" * 64
SOON = "2024-01-02T00:00:00Z"


def approved(package_id: str, venue: str = "north", topic: str = TOPIC, **fields: Any) -> PackageEvent:
    data = package(package_id, venue=venue, **fields)
    return PackageEvent(kind="approved", package_id=package_id, topic=topic, seq=0, time="t", package=data)


def withdrawn(package_id: str, kind: Any = "revoked", topic: str = TOPIC) -> PackageEvent:
    return PackageEvent(kind=kind, package_id=package_id, topic=topic, seq=0, time="t", reason="why not")


def taken(shelf: PackageShelf) -> list[str]:
    """The ids of everything on it, in the order in which it is handed out."""
    return [found["package_id"] for found in iter(shelf.take, None)]


def after(*events: PackageEvent) -> list[str]:
    shelf = PackageShelf()
    shelf.put(events)
    return taken(shelf)


@pytest.mark.parametrize("kind", ["revoked", "expired", "superseded"])
def test_a_withdrawal_takes_out_the_package_that_it_names_and_no_other(kind: str) -> None:
    assert after(approved(A), withdrawn(A, kind)) == []
    assert after(approved(A), approved(B), withdrawn(A, kind)) == [B]
    assert after(approved(A, "north"), approved(B, "south"), withdrawn(A, kind)) == [B]
    assert after(approved(A, "north"), approved(B, "south"), withdrawn(B, kind)) == [A]
    assert after(withdrawn(A, kind), approved(B)) == [B]


def test_an_approval_replaces_the_one_of_its_venue_and_what_it_supersedes() -> None:
    assert after(approved(A), approved(B)) == [B]
    assert after(approved(A, "north"), approved(B, "south")) == [A, B]
    assert after(approved(A, "north"), approved(B, "south"), approved(C, "north", supersedes=A)) == [B, C]
    assert after(approved(A, "old name"), approved(B, "new name", supersedes=A)) == [B]
    assert after(approved(A), approved(B, topic="pkg/BTC/USDT/1d/grid/")) == [A, B]


def test_a_repeated_approval_is_handed_out_once_while_the_package_stands() -> None:
    shelf = PackageShelf()
    shelf.put([approved(A), approved(A)])
    assert taken(shelf) == [A]
    shelf.put([approved(A)])
    assert taken(shelf) == []
    shelf.put([withdrawn(B), approved(A), approved(C, "south"), approved(A)])
    assert taken(shelf) == [C]
    shelf.put([approved(A)])
    assert taken(shelf) == []


def test_a_package_that_comes_back_into_force_is_handed_out_again() -> None:
    shelf = PackageShelf()
    shelf.put([approved(A)])
    assert taken(shelf) == [A]
    shelf.put([approved(B)])
    assert taken(shelf) == [B]
    shelf.put([withdrawn(B), approved(A)])
    assert taken(shelf) == [A]
    shelf.put([withdrawn(A), approved(A)])
    assert taken(shelf) == [A]


def test_one_that_was_replaced_before_it_was_taken_leaves_the_bot_with_what_it_has() -> None:
    shelf = PackageShelf()
    shelf.put([approved(A)])
    assert taken(shelf) == [A]
    shelf.put([approved(B), withdrawn(B), approved(A)])
    assert taken(shelf) == []


def test_what_expired_while_it_waited_is_not_handed_out() -> None:
    assert after(approved(A, valid_until=SOON), approved(B, "south")) == [B]


def test_one_that_expired_by_a_wrong_clock_is_handed_out_once_the_clock_is_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelf = PackageShelf()
    shelf.put([approved(A)])
    with monkeypatch.context() as wrong:
        wrong.setattr(package_shelf, "is_expired", lambda package: True)
        assert (shelf.n_waiting, taken(shelf)) == (0, [])
    assert (shelf.n_waiting, taken(shelf)) == (1, [A])
