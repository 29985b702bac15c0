"""Answers that are being made, with askers that come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tunesmith.errors import NotFound
from tunesmith.services.requests.single_flight import UnderWay


class Maker:
    """Makes the answers 1, 2, 3 … when its gate is opened."""

    def __init__(self, most: int) -> None:
        self.gate = asyncio.Event()
        self.n_begun = self.n_cancelled = 0
        self.under_way: UnderWay[int] = UnderWay(most)

    async def make(self) -> int:
        self.n_begun += 1
        number = self.n_begun
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.n_cancelled += 1
            raise
        return number

    async def ask(self, key: str = "a") -> asyncio.Task[int]:
        """Someone who waits for the answer, by now."""
        task = asyncio.create_task(self.under_way.get(key, self.make))
        for _ in range(3):
            await asyncio.sleep(0)
        return task


async def leave(asker: asyncio.Task[int]) -> None:
    asker.cancel()
    assert isinstance((await asyncio.gather(asker, return_exceptions=True))[0], asyncio.CancelledError)
    await asyncio.sleep(0)


def play(scene: Callable[[Maker], Awaitable[None]], most: int = 1) -> None:
    async def main() -> None:
        await scene(Maker(most))

    asyncio.run(main())


def test_what_is_asked_for_by_several_is_made_once_and_afresh_afterwards() -> None:
    async def scene(maker: Maker) -> None:
        askers = [await maker.ask() for _ in range(3)]
        maker.gate.set()
        assert await asyncio.gather(*askers) == [1, 1, 1]
        assert await (await maker.ask()) == 2

    play(scene)


def test_what_nobody_waits_for_is_made_to_its_end_and_is_there_for_who_comes_again() -> None:
    async def scene(maker: Maker) -> None:
        await leave(await maker.ask())
        again = await maker.ask()
        maker.gate.set()
        assert await again == 1
        assert (maker.n_begun, maker.n_cancelled) == (1, 0)

    play(scene)


def test_beyond_the_most_it_is_given_up_and_made_anew_for_who_comes_again() -> None:
    async def scene(maker: Maker) -> None:
        first, second = await maker.ask("a"), await maker.ask("b")
        await leave(first)
        assert maker.n_cancelled == 1
        await leave(second)
        assert maker.n_cancelled == 1
        again = await maker.ask("a")
        maker.gate.set()
        assert await again == 3

    play(scene)


def test_it_is_not_given_up_while_someone_waits() -> None:
    async def scene(maker: Maker) -> None:
        goes, stays = await maker.ask(), await maker.ask()
        await leave(goes)
        maker.gate.set()
        assert await stays == 1
        assert maker.n_cancelled == 0

    play(scene, most=0)


def test_what_goes_wrong_is_told_to_all_who_wait_and_to_nobody_else() -> None:
    async def scene(maker: Maker) -> None:
        async def refuse() -> int:
            await maker.gate.wait()
            raise NotFound("it is not there")

        asked = [asyncio.create_task(maker.under_way.get("a", refuse)) for _ in range(2)]
        alone = asyncio.create_task(maker.under_way.get("b", refuse))
        await asyncio.sleep(0)
        await leave(alone)
        maker.gate.set()
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(each) for each in found] == [NotFound, NotFound]
        with pytest.raises(NotFound):
            await maker.under_way.get("a", refuse)

    play(scene)
