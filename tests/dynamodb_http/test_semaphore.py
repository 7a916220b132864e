"""The semaphores: first in, first out, with a timeout; no place is lost."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from open_alchemy.package_database.engines.dynamodb.http import semaphore as module
from open_alchemy.package_database.engines.dynamodb.http.semaphore import (
    AdmissionQueue,
    LoopSemaphore,
    ThreadSemaphore,
    Ticket,
)


def run(steps: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(steps())


def new_semaphore(size: int) -> LoopSemaphore:
    return LoopSemaphore(asyncio.get_running_loop(), size)


def acquire_in_thread(semaphore: ThreadSemaphore, seconds: float) -> Ticket:
    ticket = Ticket()
    try:
        semaphore.acquire(ticket, seconds)
    except TimeoutError:
        semaphore.release(ticket)
        raise
    return ticket


async def acquire_in_loop(semaphore: LoopSemaphore, seconds: float) -> Ticket:
    ticket = Ticket()
    try:
        await semaphore.acquire(ticket, seconds)
    except (TimeoutError, asyncio.CancelledError):
        semaphore.release(ticket)
        raise
    return ticket


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_threads_acquire_in_order_of_arrival() -> None:
    semaphore, order = ThreadSemaphore(1), list[int]()
    first = acquire_in_thread(semaphore, 1)

    def acquire(number: int) -> None:
        ticket = acquire_in_thread(semaphore, 30)
        order.append(number)
        semaphore.release(ticket)

    threads = [threading.Thread(target=acquire, args=(number,)) for number in range(5)]
    for count, thread in enumerate(threads, start=2):
        thread.start()
        wait_until(lambda count=count: len(semaphore._queue) == count)  # type: ignore[misc]
    semaphore.release(first)
    for thread in threads:
        thread.join()

    assert order == list(range(5))


def test_a_thread_that_times_out_takes_no_place() -> None:
    semaphore = ThreadSemaphore(1)
    first = acquire_in_thread(semaphore, 1)
    with pytest.raises(TimeoutError):
        acquire_in_thread(semaphore, 0.01)
    semaphore.release(first)

    acquire_in_thread(semaphore, 0)


def test_the_place_of_a_thread_that_lost_its_ticket_is_free() -> None:
    semaphore = ThreadSemaphore(1)

    acquire_in_thread(semaphore, 0)
    second = acquire_in_thread(semaphore, 0)
    with pytest.raises(TimeoutError):
        acquire_in_thread(semaphore, 0)
    del second

    acquire_in_thread(semaphore, 0)


def test_threads_never_exceed_the_size() -> None:
    semaphore, inside, most = ThreadSemaphore(3), list[int](), list[int]()

    def visit(number: int) -> None:
        for _ in range(200):
            ticket = acquire_in_thread(semaphore, 30)
            inside.append(number)
            most.append(len(inside))
            inside.remove(number)
            semaphore.release(ticket)

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert max(most) <= 3
    assert len(semaphore._queue) == 0


def test_calls_acquire_in_order_of_arrival() -> None:
    async def steps() -> None:
        semaphore, order = new_semaphore(1), list[int]()
        first = await acquire_in_loop(semaphore, 30)

        async def acquire(number: int) -> None:
            ticket = await acquire_in_loop(semaphore, 30)
            order.append(number)
            semaphore.release(ticket)

        async with asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(acquire(number))
            await asyncio.sleep(0)
            semaphore.release(first)

        assert order == list(range(5))

    run(steps)


def test_a_call_that_times_out_takes_no_place() -> None:
    async def steps() -> None:
        semaphore = new_semaphore(1)
        first = await acquire_in_loop(semaphore, 1)
        with pytest.raises(TimeoutError):
            await acquire_in_loop(semaphore, 0.01)
        semaphore.release(first)

        await acquire_in_loop(semaphore, 0)

    run(steps)


def test_calls_time_out_independently_of_their_order() -> None:
    async def steps() -> None:
        semaphore = new_semaphore(1)
        first = await acquire_in_loop(semaphore, 1)
        patient = asyncio.create_task(acquire_in_loop(semaphore, 60))
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            await acquire_in_loop(semaphore, 0.01)
        semaphore.release(first)

        await patient

    run(steps)


def test_a_call_that_lost_its_ticket_delays_others_only_until_the_next_check() -> None:
    async def steps() -> None:
        semaphore = new_semaphore(1)
        lost = await acquire_in_loop(semaphore, 1)
        waiting = asyncio.create_task(acquire_in_loop(semaphore, 60))
        await asyncio.sleep(0)
        del lost

        await waiting

    run(steps)


def test_expired_calls_fail_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EXPIRE_AT_ONCE", 2)

    async def steps() -> None:
        semaphore = new_semaphore(0)
        calls = [asyncio.create_task(acquire_in_loop(semaphore, 0)) for _ in range(10)]
        counts = {0}
        while min(call.done() for call in calls) == 0:
            await asyncio.sleep(0)
            counts.add(sum(call.done() for call in calls))

        assert counts == {0, 2, 4, 6, 8, 10}
        assert all(isinstance(call.exception(), TimeoutError) for call in calls)

    run(steps)


@pytest.mark.parametrize("turns", range(4))
def test_a_place_that_is_given_to_a_cancelled_call_is_not_lost(turns: int) -> None:
    async def steps() -> None:
        semaphore = new_semaphore(1)
        first = await acquire_in_loop(semaphore, 1)
        waiting = asyncio.create_task(acquire_in_loop(semaphore, 1))
        await asyncio.sleep(0)
        semaphore.release(first)
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        if not waiting.cancelled():
            semaphore.release(waiting.result())

        await acquire_in_loop(semaphore, 0)

    run(steps)


def test_calls_never_exceed_the_size_and_lose_no_place_when_cancelled() -> None:
    async def steps() -> None:
        semaphore, inside, most = new_semaphore(3), 0, 0
        chance = random.Random(1)  # noqa: S311 (no secret)

        async def visit() -> None:
            nonlocal inside, most
            ticket = await acquire_in_loop(semaphore, 60)
            inside += 1
            most = max(most, inside)
            try:
                await asyncio.sleep(0)
            finally:
                inside -= 1
                semaphore.release(ticket)

        visits = [asyncio.create_task(visit()) for _ in range(300)]
        while pending := [task for task in visits if not task.done()]:
            if chance.random() < 0.3:
                chance.choice(pending).cancel()
            await asyncio.sleep(0)

        assert (most, inside, len(semaphore._queue)) == (3, 0, 0)

    run(steps)


def new_admission_queue(size: int, seconds: float = 60) -> AdmissionQueue:
    return AdmissionQueue(asyncio.get_running_loop(), new_semaphore(size), seconds)


async def wait_in(queue: AdmissionQueue) -> None:
    waiting = queue.enter()
    if waiting is not None:
        await waiting


def test_a_call_is_admitted_at_once_while_the_semaphore_is_free() -> None:
    async def steps() -> None:
        assert new_admission_queue(1).enter() is None
        assert new_admission_queue(0).enter() is not None

    run(steps)


def test_calls_are_admitted_in_order_of_arrival_also_if_some_are_cancelled() -> None:
    async def steps() -> None:
        semaphore = new_semaphore(1)
        held = await acquire_in_loop(semaphore, 1)
        queue = AdmissionQueue(asyncio.get_running_loop(), semaphore, 60)
        calls = [asyncio.create_task(wait_in(queue)) for _ in range(6)]
        await asyncio.sleep(0)
        calls[1].cancel()
        await asyncio.sleep(0)
        queue.admit()
        semaphore.release(held)
        for _ in range(3):
            queue.admit()
            await asyncio.sleep(0)
        await asyncio.sleep(0)

        assert [call.done() for call in calls] == [True, True, True, True, False, False]
        queue.close()
        await asyncio.gather(calls[4], calls[5])

    run(steps)


def test_calls_that_are_not_admitted_fail_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EXPIRE_AT_ONCE", 2)

    async def steps() -> None:
        queue = new_admission_queue(0, seconds=0)
        calls = [asyncio.create_task(wait_in(queue)) for _ in range(10)]
        counts = {0}
        while min(call.done() for call in calls) == 0:
            await asyncio.sleep(0)
            counts.add(sum(call.done() for call in calls))

        assert counts == {0, 2, 4, 6, 8, 10}
        assert all(isinstance(call.exception(), TimeoutError) for call in calls)

    run(steps)


def test_an_interrupted_call_delays_admission_only_until_the_next_check() -> None:
    async def steps() -> None:
        semaphore = new_semaphore(1)
        queue = AdmissionQueue(asyncio.get_running_loop(), semaphore, 60)
        tickets = [Ticket(), Ticket()]
        for ticket in tickets:
            semaphore._queue.enter(ticket, None)
        waiting = queue.enter()
        assert waiting is not None
        # Nothing releases the tickets: they are lost with the frames of interrupted calls.
        del ticket, tickets

        await waiting

    run(steps)
