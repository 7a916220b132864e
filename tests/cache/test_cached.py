from __future__ import annotations

import asyncio
import gc
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, assert_type

import pytest

from open_alchemy import package_database
from open_alchemy.package_database.cache import CacheInfo, cached
from open_alchemy.package_database.coherence.dependency_recording import NOT_CACHEABLE, is_recording, record, report
from open_alchemy.package_database.database import open_async_database, open_database
from open_alchemy.package_database.instances.instance import Instance
from open_alchemy.package_database.instances.selection import Selection
from open_alchemy.package_database.testing.memory import AsyncMemoryEngine, MemoryConfig, MemoryEngine


class Read:
    """A dependency that a test ends."""

    def __init__(self) -> None:
        self.valid = True

    def is_valid(self) -> bool:
        return self.valid


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Source:
    """A function that reads one value, and counts its calls."""

    def __init__(self) -> None:
        self.calls = 0
        self.read: Any = Read()

    def compute(self, *args: object, **kwargs: object) -> int:
        self.calls += 1
        report((self.read,))
        return self.calls

    async def compute_async(self, *args: object, **kwargs: object) -> int:
        await asyncio.sleep(0)
        return self.compute()

    def change(self) -> None:
        self.read.valid = False
        self.read = Read()


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture(params=["function", "coroutine function"])
def call(request: pytest.FixtureRequest, source: Source) -> Iterator[Callable[..., Any]]:
    """Decorates the source; its result is called from a thread or in an event loop."""
    runner = asyncio.Runner()

    def decorate(**options: Any) -> Any:
        if request.param == "function":
            return cached(**options)(source.compute)
        function = cached(**options)(source.compute_async)

        def run(*args: Any, **kwargs: Any) -> int:
            async def main() -> int:
                return await function(*args, **kwargs)

            return runner.run(main(), context=copy_context())

        run.cache_info, run.cache_clear = function.cache_info, function.cache_clear  # type: ignore[attr-defined]
        return run

    with runner:
        yield decorate


def test_a_result_is_returned_again_for_the_same_arguments(call: Any, source: Source) -> None:
    function = call()

    assert [function(1, a=2), function(1, a=2), function(2, a=2)] == [1, 1, 2]
    assert function.cache_info() == CacheInfo(hits=1, misses=2, max_entries=1000, entries=2)


def test_a_result_is_dropped_when_what_it_read_changes(call: Any, source: Source) -> None:
    function = call()
    function()

    source.change()

    assert [function(), function()] == [2, 2]


def test_the_least_recently_used_result_is_dropped(call: Any, source: Source) -> None:
    function = call(max_entries=2)

    assert [function(1), function(2), function(1), function(3), function(1), function(2)] == [1, 2, 1, 3, 1, 4]


def test_a_read_that_was_not_cacheable_is_not_remembered(call: Any, source: Source) -> None:
    source.read = NOT_CACHEABLE
    function = call(ttl=100)

    assert [function(), function()] == [1, 2]


def test_a_result_expires(call: Any, source: Source) -> None:
    clock = Clock()
    function = call(ttl=5, clock=clock)
    function()

    clock.now += 4.9
    assert function() == 1
    clock.now += 0.1
    assert function() == 2


def test_clearing_drops_all_results(call: Any, source: Source) -> None:
    function = call()
    function()

    function.cache_clear()

    assert function.cache_info().entries == 0
    assert function() == 2


def test_an_exception_is_not_remembered(call: Any, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    function = call()
    read = source.read
    del source.read
    with pytest.raises(AttributeError):
        function()

    source.read = read

    assert function() == 2


def test_a_result_of_another_instance_is_not_returned(call: Any, source: Source) -> None:
    function = call()
    function()

    with Selection(Instance(MemoryConfig())):
        assert function() == 2
    assert function() == 1


def test_nested_calls_depend_on_the_same_reads(source: Source) -> None:
    outer_source = Source()

    @cached()
    def inner() -> int:
        return source.compute()

    @cached()
    def outer() -> tuple[int, int]:
        return inner(), outer_source.compute()

    assert [outer(), outer()] == [(1, 1), (1, 1)]
    source.change()
    assert outer() == (2, 2)
    outer_source.change()
    assert outer() == (2, 3)
    source.change()
    assert outer() == (3, 4)


async def _gather(*calls: Awaitable[int]) -> list[int]:
    return list(await asyncio.gather(*calls))


def test_concurrent_coroutines_share_one_computation(source: Source) -> None:
    function = cached()(source.compute_async)

    assert asyncio.run(_gather(function(), function(), function())) == [1, 1, 1]


def test_a_task_that_waits_depends_on_the_reads_too(source: Source) -> None:
    inner = cached()(source.compute_async)

    async def dependencies() -> set[Any]:
        with record() as found:
            await inner()
        return found

    async def both() -> list[set[Any]]:
        return list(await asyncio.gather(dependencies(), dependencies()))

    assert asyncio.run(both()) == [{source.read}, {source.read}]


def test_the_cancellation_of_one_caller_does_not_cancel_the_others(source: Source) -> None:
    function = cached()(source.compute_async)

    async def main() -> int:
        first, second = asyncio.ensure_future(function()), asyncio.ensure_future(function())
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(main()) == 1


def test_the_cancellation_of_all_callers_cancels_the_computation() -> None:
    ended: list[str] = []
    began = asyncio.Event()

    @cached()
    async def endless() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    async def main() -> None:
        tasks = [asyncio.ensure_future(endless()) for _ in range(3)]
        await began.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)

    asyncio.run(main())
    assert ended == ["ended"]


def test_a_caller_that_arrives_while_a_computation_is_cancelled_begins_another() -> None:
    calls: list[int] = []

    async def main() -> int:
        is_cancelled, go_on = asyncio.Event(), asyncio.Event()

        @cached()
        async def slow() -> int:
            calls.append(1)
            if len(calls) == 1:
                try:
                    await asyncio.Event().wait()
                finally:
                    is_cancelled.set()
                    await go_on.wait()
            return 7

        first = asyncio.ensure_future(slow())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        first.cancel()
        await is_cancelled.wait()
        second = asyncio.ensure_future(slow())
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await second

    assert asyncio.run(main()) == 7
    assert len(calls) == 2


def test_callers_that_share_a_computation_share_its_exception() -> None:
    calls: list[int] = []

    @cached()
    async def failing() -> None:
        calls.append(1)
        await asyncio.sleep(0)
        raise KeyError("absent")

    async def main() -> list[Any]:
        return list(await asyncio.gather(failing(), failing(), return_exceptions=True))

    results = asyncio.run(main())

    assert [type(result) for result in results] == [KeyError, KeyError]
    assert len(calls) == 1
    gc.collect()  # No task reports an exception that nobody retrieved.


def test_a_caller_does_not_accept_what_was_read_before_its_call_and_has_changed(source: Source) -> None:
    """The first caller reads version 1; a write is acknowledged; the second caller must not get version 1."""

    async def main() -> list[int]:
        go_on = asyncio.Event()
        versions = iter((1, 2, 3))
        reads = [Read(), Read(), Read()]

        @cached()
        async def read() -> int:
            version = next(versions)
            report((reads[version - 1],))
            await go_on.wait()
            return version

        first = asyncio.ensure_future(read())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        reads[0].valid = False
        second, third = asyncio.ensure_future(read()), asyncio.ensure_future(read())
        await asyncio.sleep(0)
        go_on.set()
        return [await first, await second, await third]

    assert asyncio.run(main()) == [1, 2, 2]


def test_a_coroutine_may_call_itself(source: Source) -> None:
    @cached()
    async def factorial(number: int) -> int:
        return 1 if number == 0 else number * await factorial(number - 1)

    @cached()
    async def twice(*, is_inner: bool = False) -> int:
        return 1 if within else await _nested()

    within: list[int] = []

    async def _nested() -> int:
        within.append(1)
        return 1 + await twice()

    assert asyncio.run(factorial(5)) == 120
    assert asyncio.run(twice()) == 2


def test_a_function_may_call_itself() -> None:
    within: list[int] = []

    @cached()
    def twice() -> int:
        if within:
            return 1
        within.append(1)
        return 1 + twice()

    assert twice() == 2


def test_event_loops_do_not_share_computations(source: Source) -> None:
    function = cached()(source.compute_async)
    source.read = NOT_CACHEABLE

    async def main() -> int:
        return await function()

    assert [asyncio.run(main()), asyncio.run(main())] == [1, 2]


def _in_threads(*functions: Callable[[], object]) -> None:
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("error", [None, KeyError("absent")])
def test_concurrent_threads_share_one_computation(error: Exception | None) -> None:
    started, go_on, results = threading.Event(), threading.Event(), []
    calls: list[int] = []

    @cached()
    def slow() -> int:
        calls.append(1)
        started.set()
        go_on.wait()
        if error is not None:
            raise error
        return 7

    def caller() -> None:
        try:
            results.append(slow())
        except KeyError as raised:
            results.append(raised)  # type: ignore[arg-type]

    def second() -> None:
        started.wait()
        releasing = threading.Timer(0.02, go_on.set)
        releasing.start()
        caller()
        releasing.join()

    _in_threads(caller, second)

    assert results == [error or 7] * 2
    assert len(calls) in (1, 2 if error else 1)


def test_a_thread_does_not_accept_what_was_read_before_its_call_and_has_changed() -> None:
    started, go_on, results = threading.Event(), threading.Event(), {}
    reads, versions = [Read(), Read()], iter((1, 2))

    @cached()
    def read() -> int:
        version = next(versions)
        report((reads[version - 1],))
        started.set()
        go_on.wait()
        return version

    def first() -> None:
        results["first"] = read()

    def second() -> None:
        started.wait()
        reads[0].valid = False
        releasing = threading.Timer(0.02, go_on.set)
        releasing.start()
        results["second"] = read()
        releasing.join()

    _in_threads(first, second)

    assert results == {"first": 1, "second": 2}


def test_an_interrupted_computation_is_repeated_by_a_waiting_thread() -> None:
    started, results = threading.Event(), []
    calls: list[int] = []

    @cached()
    def interrupted() -> int:
        calls.append(1)
        if len(calls) == 1:
            started.set()
            waiting.wait(0.05)
            raise KeyboardInterrupt
        return 2

    waiting = threading.Event()

    def first() -> None:
        with pytest.raises(KeyboardInterrupt):
            interrupted()

    def second() -> None:
        started.wait()
        results.append(interrupted())

    _in_threads(first, second)

    assert results == [2]


def test_clearing_during_a_computation_does_not_store_its_result(source: Source) -> None:
    @cached()
    def clearing() -> int:
        clearing.cache_clear()
        return source.compute()

    assert [clearing(), clearing()] == [1, 2]


def test_a_child_process_computes_what_the_parent_was_computing(source: Source) -> None:
    from open_alchemy.package_database.cache.results import Results

    results = Results(10, None, Clock())
    results.lock.acquire()
    results.computing["key"] = object()

    results.after_fork_in_child()

    assert not results.computing
    assert results.info().entries == 0


def test_without_a_broker_a_result_is_remembered_only_with_a_ttl() -> None:
    database = open_database(MemoryEngine())

    def count() -> int:
        return database.count_customer_models(sub="u1")

    plain, with_ttl = cached()(count), cached(ttl=5)(count)
    assert [plain(), with_ttl()] == [0, 0]

    database.create_update_spec(sub="u1", name="a", version="1", model_count=3)

    assert [plain(), with_ttl()] == [3, 0]


def test_without_a_broker_a_coroutine_is_remembered_only_with_a_ttl() -> None:
    database = open_async_database(AsyncMemoryEngine())

    async def count() -> int:
        return await database.count_customer_models(sub="u1")

    plain, with_ttl = cached()(count), cached(ttl=5)(count)

    async def main() -> list[int]:
        before = [await plain(), await with_ttl()]
        await database.create_update_spec(sub="u1", name="a", version="1", model_count=3)
        return [*before, await plain(), await with_ttl()]

    assert asyncio.run(main()) == [0, 0, 3, 0]


def test_nothing_is_recorded_outside_of_a_computation() -> None:
    report((Read(),))

    assert not is_recording()


def test_a_result_that_changes_during_its_computation_is_not_stored(source: Source) -> None:
    @cached()
    def changed() -> int:
        found = source.compute()
        if found == 1:
            source.change()
        return found

    assert [changed(), changed(), changed()] == [1, 2, 2]


def test_reads_in_threads_with_the_context_of_the_call_are_recorded(source: Source) -> None:
    @cached()
    def in_thread() -> int:
        with ThreadPoolExecutor(1) as threads:
            return threads.submit(copy_context().run, source.compute).result()

    @cached()
    async def in_thread_of_asyncio() -> int:
        return await asyncio.to_thread(source.compute)

    async def twice() -> list[int]:
        return [await in_thread_of_asyncio(), await in_thread_of_asyncio()]

    assert asyncio.run(twice()) == [1, 1]
    assert [in_thread(), in_thread()] == [2, 2]
    source.change()
    assert asyncio.run(twice()) == [3, 3]
    assert [in_thread(), in_thread()] == [4, 4]


def numbers() -> Iterator[int]:
    yield 1


async def async_numbers() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize("function", [numbers, async_numbers, partial(numbers)])
def test_a_generator_is_refused(function: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match="generator"):
        cached()(function)


async def one() -> int:
    return 1


@pytest.mark.parametrize("function", [one, numbers, async_numbers])
def test_a_result_that_can_be_used_once_only_is_refused(function: Callable[[], object]) -> None:
    """A plain function that returns the coroutine of another one, such as a wrapper."""

    @cached()
    def wrapper() -> object:
        return function()

    with pytest.raises(TypeError, match="can be used only once"):
        wrapper()
    assert wrapper.cache_info().entries == 0


@pytest.mark.parametrize("method", [classmethod(print), staticmethod(print), 1])
def test_what_is_not_a_function_is_refused(method: Any) -> None:
    with pytest.raises(TypeError, match="below @classmethod|must be a function"):
        cached()(method)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_entries": 0}, "max_entries must be an int of at least 1, not 0"),
        ({"max_entries": -1}, "max_entries must be an int of at least 1, not -1"),
        ({"max_entries": True}, "max_entries must be an int of at least 1, not True"),
        ({"max_entries": 1.5}, "max_entries must be an int of at least 1, not 1.5"),
        ({"ttl": 0}, "ttl must be a number of seconds above 0, not 0"),
        ({"ttl": float("nan")}, "ttl must be a number of seconds above 0, not nan"),
        ({"ttl": "5"}, "ttl must be a number of seconds above 0, not '5'"),
        ({"ttl": True}, "ttl must be a number of seconds above 0, not True"),
    ],
)
def test_an_invalid_option_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        cached(**options)


class Counter:
    """Has cached methods."""

    calls = 0

    def __init__(self, step: int) -> None:
        self.step = step

    @cached()
    def method(self, number: int) -> int:
        Counter.calls += 1
        return number + self.step

    @classmethod
    @cached()
    def of_class(cls, number: int) -> int:
        return number

    @staticmethod
    @cached()
    def static(number: int) -> int:
        return number

    @cached()
    async def coroutine(self, number: int) -> int:
        return number + self.step


def test_methods_are_cached_for_each_object() -> None:
    one, two = Counter(1), Counter(2)
    before = Counter.method.cache_info()

    assert [one.method(1), two.method(1), one.method(1), one.method(number=1)] == [2, 3, 2, 2]
    assert asyncio.run(one.coroutine(1)) == 2
    # mypy does not bind a class method that is no plain function.
    of_class: Any = one.of_class
    assert [of_class(5), of_class(5), Counter.static(4), Counter.static(4)] == [5, 5, 4, 4]
    after = Counter.method.cache_info()
    assert (after.hits - before.hits, after.misses - before.misses) == (1, 3)
    one.method.cache_clear()
    assert Counter.method.cache_info().entries == 0


def test_the_order_of_keyword_arguments_does_not_matter(call: Any) -> None:
    function = call()

    assert [function(a=1, b=2), function(b=2, a=1), function(1, 2)] == [1, 1, 2]


def test_an_argument_that_is_not_hashable_is_a_type_error(call: Any) -> None:
    function = call()

    with pytest.raises(TypeError, match="unhashable"):
        function([])
    assert function(1) == 1


def test_the_signature_is_preserved() -> None:
    @cached()
    def typed(number: int, *, text: str = "") -> str:
        return text * number

    @cached(ttl=5)
    async def typed_coroutine(number: int) -> int:
        return number

    assert_type(typed(2, text="a"), str)
    assert_type(typed.cache_info(), CacheInfo)
    assert_type(asyncio.run(_gather(typed_coroutine(1))), list[int])
    assert_type(Counter(1).method(1), int)
    with pytest.raises(TypeError):
        typed("2", txt="a")  # type: ignore[arg-type, call-arg]
    with pytest.raises(TypeError):
        Counter(1).method()  # type: ignore[call-arg]


def test_the_function_is_documented(source: Source) -> None:
    @package_database.cached()
    def documented() -> int:
        """Documentation."""
        return 1

    assert (documented.__name__, documented.__doc__) == ("documented", "Documentation.")  # type: ignore[attr-defined]
