"""The queue of executors against a slow model of its rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.workers.fair_queue import AGING_S, FairQueue, Place

PLACES = st.builds(Place, st.integers(0, 2), st.sampled_from("ab"), st.sampled_from(["t1", "t2", None]))


def drain(queue: FairQueue[int]) -> list[int]:
    return [queue.take() for _ in range(len(queue))]


@given(st.lists(PLACES), st.data())
def test_everything_comes_out_once_by_priority_and_in_order_within_a_task(
    places: list[Place], data: st.DataObject
) -> None:
    queue: FairQueue[int] = FairQueue()
    for number, place in enumerate(places):
        queue.put(number, place)
    dropped = data.draw(st.sets(st.sampled_from(range(len(places))))) if places else set()
    for number in dropped:
        assert queue.discard(number, places[number])
        assert not queue.discard(number, places[number])
    taken = drain(queue)
    assert sorted(taken) == sorted(set(range(len(places))) - dropped)
    assert [places[n].priority for n in taken] == sorted(places[n].priority for n in taken)
    for place in set(places):
        of_place = [n for n in taken if places[n] == place]
        assert of_place == sorted(of_place)


@given(st.lists(PLACES.map(lambda place: place._replace(priority=5)), min_size=1))
def test_users_take_queue_and_within_a_user_tasks(places: list[Place]) -> None:
    queue: FairQueue[int] = FairQueue()
    for number, place in enumerate(places):
        queue.put(number, place)
    taken = [places[number] for number in drain(queue)]
    for at, place in enumerate(taken[:-1]):
        waiting = taken[at + 1 :]
        if any(other.user != place.user for other in waiting):
            assert waiting[0].user != place.user
        same_user = [other for other in waiting if other.user == place.user]
        if any(other.task != place.task for other in same_user):
            assert same_user[0].task != place.task


def test_first_comes_before_all_of_its_priority() -> None:
    queue: FairQueue[int] = FairQueue()
    queue.put(0, Place(5, "a", "t1"))
    queue.put(1, Place(5, "b", "t2"))
    queue.put(2, Place(5, "b", "t2"), first=True)
    queue.put(3, Place(4, "a", "t1"))
    assert drain(queue) == [3, 2, 0, 1]


def test_an_empty_queue_gives_nothing() -> None:
    with pytest.raises(KeyError):
        FairQueue[int]().take()


def test_a_priority_that_waits_comes_before_a_better_one_that_is_served_all_the_time() -> None:
    seconds = 0.0
    queue: FairQueue[str] = FairQueue(lambda: seconds)
    queue.put("patient", Place(9, "b", "t2"))
    served = []
    while "patient" not in served:
        queue.put(f"urgent {seconds}", Place(0, "a", "t1"))
        served.append(queue.take())
        seconds += 1.0
    assert seconds - 1.0 == 9 * AGING_S + 1.0, "it is served as soon as its wait counts for more than nine priorities"
    queue.put("later", Place(9, "b", "t2"))
    queue.put("urgent", Place(0, "a", "t1"))
    assert [queue.take() for _ in range(2)] == [f"urgent {seconds - 1.0}", "urgent"], "its wait begins anew"
    assert queue.take() == "later"
