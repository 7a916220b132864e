"""Clients over real sockets: lost answers, brokers that stop, threads, forks and closed databases."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack

import pytest

from open_alchemy.package_database import RefusedError, connect
from open_alchemy.package_database.cli.commands import commands
from open_alchemy.package_database.engines.broker import client_protocol
from open_alchemy.package_database.engines.broker.config import BrokerConfig
from tests.broker.brokers import Opened, both, memory_store, run_broker

UNUSED = "tcp://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _short_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_protocol, "SILENCE", 0.1)


@both
def test_a_client_moves_to_a_broker_that_answers(opened: Opened) -> None:
    store = memory_store()
    with ExitStack() as stack:
        second = stack.enter_context(run_broker(store))
        database = opened(stack, BrokerConfig((UNUSED, *second.config.addresses, UNUSED)))
        database.create_update_spec(sub="u", name="a", version="1", model_count=1)
        assert database.count_customer_models(sub="u") == 1


def test_a_closed_database_refuses_calls() -> None:
    database = connect("broker://127.0.0.1:9")
    database.close()
    with pytest.raises(RefusedError, match="was closed"):
        database.list_specs(sub="u")


def test_threads_use_a_database_at_once() -> None:
    with run_broker(memory_store()) as broker, connect(broker.url) as database:

        def publish(name: str) -> None:
            for version in range(5):
                database.create_update_spec(sub="u", name=name, version=str(version), model_count=1)

        threads = [threading.Thread(target=publish, args=[f"spec {number}"]) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert database.count_customer_models(sub="u") == 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_the_child_of_a_fork_opens_connections_of_its_own() -> None:
    with run_broker(memory_store()) as broker, connect(broker.url) as database:
        database.create_update_spec(sub="u", name="a", version="1", model_count=3)
        child = os.fork()
        if child == 0:
            os._exit(database.count_customer_models(sub="u"))
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 3
        assert database.count_customer_models(sub="u") == 3


def test_the_command_refuses_an_address_that_others_can_reach(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        commands(["broker", "--url", "sqlite://", "--listen", "tcp://0.0.0.0:5757"])
    assert caught.value.code == 2
    assert "without keys" in capsys.readouterr().err


def test_tables_are_described_and_created_through_a_broker(capsys: pytest.CaptureFixture[str]) -> None:
    with run_broker(memory_store()) as broker:
        for command in (["tables", "create"], ["tables", "describe"]):
            with pytest.raises(SystemExit) as caught:
                commands([*command, "--url", broker.url])
            assert caught.value.code == 0
    assert "package.specs already exists at broker://" in capsys.readouterr().out
