"""Exposed functions over real sockets: where they run, their errors, and calls whose answer is lost."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from open_alchemy.package_database import (
    NotFoundError,
    RefusedError,
    UnavailableError,
    ValidationError,
    cached,
    get,
    instance,
)
from open_alchemy.package_database.core.secret import Secret
from open_alchemy.package_database.engines.broker import client_protocol
from open_alchemy.package_database.engines.broker.async_client import MAX_IN_PROGRESS
from open_alchemy.package_database.engines.broker.config import BrokerConfig, CacheOptions
from open_alchemy.package_database.engines.broker.zeromq import BlockingZeroMQ
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.instances import api
from open_alchemy.package_database.instances.instance_file import InstanceFile
from tests.broker import application
from tests.broker.brokers import (
    RunningBroker,
    close_process_database,
    database_of_process,
    lose_first_answer,
    run_application,
)
from tests.broker.hostile import wait_until

MODULE = application.__name__
UNUSED = "tcp://127.0.0.1:9"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    with run_application(SQLiteConfig(tmp_path_factory.mktemp("broker") / "a.db"), MODULE) as broker:
        yield broker


@pytest.fixture
def broker(running: RunningBroker) -> Iterator[RunningBroker]:
    application.runs.clear()
    with database_of_process(running.config):
        yield running
        close_process_database()
        get().delete_all(sub="u")


@pytest.fixture
def local(tmp_path: Path) -> Iterator[None]:
    application.runs.clear()
    with database_of_process(SQLiteConfig(tmp_path / "a.db")):
        yield
        asyncio.run(api.current().aclose())
        close_process_database()


@pytest.fixture(params=["broker", "local"])
def database(request: pytest.FixtureRequest) -> None:
    """The same test behind a broker and without one."""
    request.getfixturevalue(request.param)


@pytest.mark.usefixtures("database")
def test_a_function_uses_the_database_of_the_process_in_which_it_runs() -> None:
    asyncio.run(application.publish("u", "a", model_count=3))
    assert asyncio.run(application.names(sub="u")) == ["a"]
    assert (application.count("u"), application.count(sub="u", at_least=9)) == (3, 9)
    assert [found["name"] for found in get().list_specs(sub="u")] == ["a"]


def test_a_function_is_called_by_a_client_with_a_cache(broker: RunningBroker) -> None:
    with database_of_process(broker.config._replace(cache=CacheOptions())):
        get().create_update_spec(sub="u", name="a", version="1", model_count=3)
        assert application.count("u") == 3
        close_process_database()


@pytest.mark.usefixtures("database")
def test_a_function_may_use_a_session() -> None:
    asyncio.run(application.publish("u", "a"))
    assert asyncio.run(application.names_by_session("u")) == ["a"]


@pytest.mark.usefixtures("database")
def test_a_cached_function_that_calls_an_exposed_one_is_computed_again() -> None:
    count = cached()(lambda: application.count("u"))
    names, names_by_session = cached()(application.names), cached()(application.names_by_session)
    before = [count(), asyncio.run(_call(names)), asyncio.run(_call(names_by_session))]

    asyncio.run(application.publish("u", "a", model_count=3))

    assert before == [0, [], []]
    assert [count(), asyncio.run(_call(names)), asyncio.run(_call(names_by_session))] == [3, ["a"], ["a"]]


async def _call(function: Callable[[str], Awaitable[list[str]]]) -> list[str]:
    return await function("u")


def test_behind_a_broker_functions_run_in_its_loop_and_in_threads_of_it(broker: RunningBroker) -> None:
    asyncio.run(application.publish("u", "a"))
    application.count("u")
    assert application.runs == ["broker", "package-database call"]


@pytest.mark.usefixtures("database")
def test_values_are_returned_as_they_were_given() -> None:
    tree = application.Tree("leaf", tags={"x"}, counts={1: 0.5})
    assert asyncio.run(application.double(tree)).children == [tree, tree]


@pytest.mark.usefixtures("database")
def test_exposed_functions_call_each_other() -> None:
    asyncio.run(application.publish("u", "a"))
    assert asyncio.run(application.names_of_both("u", "u")) == ["a", "a"]


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("arguments", [{"sub": 1}, {"sub": None}, {"sub": "u", "at_least": "1"}, {"sub": object()}])
def test_an_argument_of_another_type_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="application:count: (sub|at_least)"):
        application.count(**arguments)
    assert application.runs == []


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("arguments", [{}, {"sub": "u", "unknown": 1}])
def test_arguments_that_do_not_match_the_parameters_are_a_type_error(arguments: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        application.count(**arguments)


@pytest.mark.usefixtures("database")
def test_a_result_of_another_type_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"Expected `str`, got `int` - at `\$\[1\]`") as caught:
        asyncio.run(application.wrong_result())
    assert caught.value.code == "InvalidResult"


@pytest.mark.usefixtures("database")
def test_a_result_may_have_15_megabytes_and_no_more() -> None:
    assert len(asyncio.run(application.zeros(14_000_000))) == 14_000_000
    with pytest.raises(RefusedError, match="more than 15000000"):
        asyncio.run(application.zeros(16_000_000))


def fail(kind: str) -> None:
    asyncio.run(application.fail(kind))


both = pytest.mark.parametrize("call", [fail, application.fail_in_thread])


@both
@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("kind", "type_", "message", "code"),
    [
        ("application", application.NoBudgetError, "no budget for u", None),
        ("store", application.NoDiskError, "the disk is full", "Full"),
        ("package", NotFoundError, "there is no such thing", None),
    ],
)
def test_an_expected_error_keeps_its_type(
    call: Callable[[str], None], kind: str, type_: type[Exception], message: str, code: str | None
) -> None:
    with pytest.raises(type_, match=message) as caught:
        call(kind)
    assert type(caught.value) is type_
    assert getattr(caught.value, "code", None) == code


@both
@pytest.mark.parametrize("kind", ["unexpected", "interrupt", "exit", "cancelled", "stop", "generator"])
def test_an_unexpected_error_is_in_the_log_of_the_broker(
    call: Callable[[str], None], kind: str, broker: RunningBroker, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(UnavailableError, match="its log has the reason") as caught:
        call(kind)
    (record,) = caplog.records
    assert str(caught.value).rpartition(" ")[2] in record.getMessage()
    assert "canary" not in record.getMessage() + str(caught.value)
    assert application.count("u") == 0


def test_the_log_says_where_an_unexpected_error_was_raised(
    broker: RunningBroker, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(UnavailableError):
        fail("unexpected")
    assert "ValueError at" in caplog.text
    assert "application.py" in caplog.text


@pytest.fixture
def short_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_protocol, "SILENCE", 0.1)


@pytest.fixture
def lossy(broker: RunningBroker, short_silence: None, monkeypatch: pytest.MonkeyPatch) -> RunningBroker:
    """A broker whose first answer is lost."""
    lose_first_answer(broker, monkeypatch)
    return broker


def test_a_call_whose_answer_is_lost_runs_once_and_fails(lossy: RunningBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    async def call_until_its_deadline() -> None:
        """Advances the clock of the loop beyond the deadline when the call has run, and silence has passed."""
        call = asyncio.ensure_future(application.once())
        await asyncio.to_thread(wait_until, lambda: application.runs != [])
        await asyncio.sleep(2 * client_protocol.SILENCE)
        assert not call.done()
        time = asyncio.get_running_loop().time
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: time() + 7200)
        await call

    with database_of_process(lossy.config._replace(deadline=3600.0)):
        with pytest.raises(UnavailableError, match="no broker answered before the deadline; it may have taken effect"):
            asyncio.run(call_until_its_deadline())
        close_process_database()
    assert application.runs == ["once"]


@pytest.mark.parametrize("call", [lambda: asyncio.run(application.once()), lambda: application.count("u")])
def test_a_call_fails_when_its_broker_dies(call: Callable[[], Any]) -> None:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        address = f"tcp://127.0.0.1:{router.bind_to_random_port('tcp://127.0.0.1')}"

        def die() -> None:
            router.recv_multipart()
            router.close(0)

        dying = threading.Thread(target=die)
        dying.start()
        with database_of_process(BrokerConfig((address,), deadline=3600.0)):
            with pytest.raises(UnavailableError, match="the connection to the broker ended; it may have taken effect"):
                call()
            close_process_database()
        dying.join()


def test_the_end_of_an_earlier_connection_is_not_that_of_the_next() -> None:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        connection = BlockingZeroMQ(f"tcp://127.0.0.1:{router.bind_to_random_port('tcp://127.0.0.1')}")
        connection.watch()
        assert connection.send(Secret(b"request"), 60)
        router.recv_multipart()
        router.close(0)
        assert connection._monitor is not None
        assert connection._monitor.poll(60_000)
        connection.watch()
        assert (connection.receive(0.0), connection.is_lost) == (None, False)
        connection.close()


@pytest.mark.usefixtures("lossy")
def test_a_repeatable_call_whose_answer_is_lost_is_sent_again() -> None:
    asyncio.run(application.repeatable())
    assert application.runs == ["repeatable", "repeatable"]


@pytest.mark.usefixtures("short_silence")
@pytest.mark.parametrize("call", [lambda: asyncio.run(application.once()), lambda: application.count("u")])
def test_a_call_moves_from_a_broker_that_is_not_connected(call: Callable[[], Any], broker: RunningBroker) -> None:
    config = BrokerConfig((UNUSED, *broker.config.addresses, UNUSED))
    with database_of_process(config):
        for _ in range(4):
            call()
        close_process_database()
    assert len(application.runs) == 4


def test_the_current_instance_decides_where_a_function_runs(broker: RunningBroker, tmp_path: Path) -> None:
    path = tmp_path / "instances.toml"
    urls = {"far": broker.url, "near": f"sqlite:///{tmp_path / 'near.db'}"}
    path.write_text("".join(f'[instances.{name}]\nurl = "{url}"\n' for name, url in urls.items()), encoding="utf-8")
    with api.replaced(lambda: InstanceFile(str(path), {}, None)):
        for name in urls:
            with instance(name):
                asyncio.run(application.publish("u", name))
                assert application.count("u") == 1
                assert asyncio.run(application.current_instance()) == ("near" if name == "near" else None)
                asyncio.run(api.current().aclose())
                close_process_database()
    assert application.runs[:2] == ["broker", "package-database call"]
    assert application.runs[2:] == ["MainThread", "MainThread"]


def test_a_call_ends_at_the_deadline_in_the_broker_too(broker: RunningBroker) -> None:
    with (
        database_of_process(broker.config._replace(deadline=0.2)),
        pytest.raises(UnavailableError, match="did not end before the deadline") as caught,
    ):
        asyncio.run(application.never())
    assert (caught.value.code, application.runs) == ("DeadlineExceeded", ["never"])


def test_a_function_that_is_not_exposed_cannot_be_called() -> None:
    with run_application(SQLiteConfig(memory="other")) as broker, database_of_process(broker.config):
        with pytest.raises(RefusedError, match="does not expose the function") as caught:
            application.count("u")
        close_process_database()
    assert caught.value.code == "NotExposed"


def test_more_calls_at_once_than_a_client_sends(broker: RunningBroker) -> None:
    async def call_all() -> list[Any]:
        calls = (application.publish("u", f"spec {number % 10}") for number in range(20))
        await asyncio.gather(*calls)
        return await asyncio.gather(*(application.names("u") for _ in range(MAX_IN_PROGRESS + 50)))

    results = asyncio.run(call_all())
    assert {len(result) for result in results} == {10}


def test_a_cancelled_call_does_not_disturb_others(broker: RunningBroker) -> None:
    async def cancel_one() -> list[str]:
        application.started.clear()
        task = asyncio.ensure_future(application.never())
        await asyncio.to_thread(application.started.wait)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        return await application.names("u")

    assert asyncio.run(cancel_one()) == []
    broker.loop.call_soon_threadsafe(application.releases[-1].set)
