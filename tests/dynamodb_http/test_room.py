"""Room for so many at once: in turn, for some time, and never lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from open_alchemy.package_database.engines.dynamodb.http.semaphore import Room


def run(steps: Coroutine[Any, Any, None]) -> None:
    asyncio.run(steps)


def new_room(places: int) -> Room:
    return Room(asyncio.get_running_loop(), places)


def test_who_waited_longest_comes_next() -> None:
    async def steps() -> None:
        room, entered = new_room(1), []
        await room.enter(1)

        async def enter(number: int) -> None:
            await room.enter(1)
            entered.append(number)
            room.leave()

        async with asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(enter(number))
            await asyncio.sleep(0)
            room.leave()

        assert entered == list(range(5))

    run(steps())


def test_who_waits_too_long_is_told_and_takes_no_place() -> None:
    async def steps() -> None:
        room = new_room(1)
        await room.enter(1)
        with pytest.raises(TimeoutError):
            await room.enter(0.01)
        room.leave()

        await room.enter(0.01)

    run(steps())


@pytest.mark.parametrize("turns", range(4))
def test_a_place_that_is_given_to_who_is_cancelled_is_not_lost(turns: int) -> None:
    async def steps() -> None:
        room = new_room(1)
        await room.enter(1)
        waiting = asyncio.create_task(room.enter(1))
        await asyncio.sleep(0)
        room.leave()
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        if not waiting.cancelled():
            room.leave()

        await room.enter(0.01)

    run(steps())


def test_there_are_never_more_than_there_is_room_for_and_none_is_lost() -> None:
    async def steps() -> None:
        room, inside, most = new_room(3), 0, 0
        chance = random.Random(1)  # noqa: S311 (no secret)

        async def visit() -> None:
            nonlocal inside, most
            await room.enter(1)
            inside += 1
            most = max(most, inside)
            try:
                await asyncio.sleep(0)
            finally:
                inside -= 1
                room.leave()

        visits = [asyncio.create_task(visit()) for _ in range(300)]
        while pending := [task for task in visits if not task.done()]:
            if chance.random() < 0.3:
                chance.choice(pending).cancel()
            await asyncio.sleep(0)

        assert (most, inside) == (3, 0)
        for _ in range(3):
            await room.enter(0.01)
        with pytest.raises(TimeoutError):
            await room.enter(0.01)

    run(steps())
