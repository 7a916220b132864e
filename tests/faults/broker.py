"""The faults of brokers: the result of each, the transports that are tested, and the test."""

from __future__ import annotations

from typing import Final

from tests.broker.deliveries import FAULTS as MESSAGE_FAULTS
from tests.faults.postgresql import ServerFault

_TRANSPORTS: Final = "ZeroMQ, NATS, AMQP"
_PROCESSES: Final = "ZeroMQ, NATS"
_MESSAGE: Final = "test_deliveries.py::test_a_fault_of_a_message_changes_neither_result_nor_effect"
_ONCE: Final = "the correct result, one effect"

INTRODUCTION: Final = """
## Brokers

Each fault meets real sockets, in most tests with both APIs; the tests are in `tests/broker`. A fault of a message meets
each function in front of SQLite, DynamoDB and PostgreSQL. The tests with AMQP, and every combination of
function, store and fault, run with `scripts/test --long`; AMQP needs RabbitMQ of Debian.

| fault | result | transports | test |
|---|---|---|---|
"""

FAULTS: Final = tuple(
    (ServerFault(fault, result, test), transports)
    for fault, result, transports, test in (
        *((fault, _ONCE, _TRANSPORTS, _MESSAGE) for fault in MESSAGE_FAULTS),
        (
            "a request whose conditions failed in its repetition arrives late",
            "no effect of the late request",
            _PROCESSES,
            "test_deliveries.py::test_a_transaction_that_failed_on_its_conditions_is_not_executed_late",
        ),
        (
            "a broker does not answer",
            "another one executes the request after a second",
            _TRANSPORTS,
            "test_faults.py::test_another_broker_executes_what_the_first_one_does_not_answer",
        ),
        (
            "a broker ends with SIGTERM",
            "it refuses what it has not started, and another one executes it",
            _TRANSPORTS,
            "test_faults.py::test_another_broker_executes_what_one_that_stops_refuses",
        ),
        (
            "SIGKILL of one of two brokers under writers, 50 times",
            "no error, one effect",
            _PROCESSES,
            "test_kills.py::test_no_write_is_lost_or_doubled_when_brokers_are_killed_50_times",
        ),
        (
            "a broker is stopped for a minute, and executes its requests then",
            "no error, one effect",
            _PROCESSES,
            "test_kills.py::test_no_write_is_lost_or_doubled_when_a_broker_is_stopped_for_a_minute",
        ),
        (
            "no broker",
            "repeated until the deadline, then `UnavailableError` (`DeadlineExceeded`)",
            _TRANSPORTS,
            "test_faults.py::test_without_a_broker_a_call_fails_at_its_deadline",
        ),
        (
            "the network is down for a time",
            "repeated until the deadline: no error, one effect",
            _TRANSPORTS,
            "test_faults.py::test_writes_take_effect_once_while_the_network_is_down_and_back",
        ),
        (
            "the server of the bus is killed, and started again",
            "repeated until the deadline: no error, one effect",
            "NATS, AMQP",
            "test_faults.py::test_writes_take_effect_once_while_the_bus_is_down_and_back",
        ),
        (
            "connections are cut",
            "connected again and repeated: no error, one effect",
            _TRANSPORTS,
            "test_faults.py::test_writes_take_effect_once_while_connections_are_cut",
        ),
        (
            "a connection is cut within a message of several million bytes",
            "connected again and repeated: the complete result",
            _TRANSPORTS,
            "test_faults.py::test_messages_of_millions_of_bytes_arrive_after_cut_connections",
        ),
        (
            "a connection transfers an answer for longer than a second",
            "the complete result; the request is sent once (`test_slow_connections.py`, in virtual time)",
            _TRANSPORTS,
            "test_faults.py::test_a_long_answer_arrives_over_a_slow_connection",
        ),
        (
            "a connection is half-open",
            "closed within 4 s, with AMQP 6 s, and repeated: no error, one effect",
            _TRANSPORTS,
            "test_faults.py::test_a_half_open_connection_is_closed",
        ),
        (
            "a client does not read",
            "its answers are dropped, others are served, the memory is bounded",
            _TRANSPORTS,
            "test_faults.py::test_a_client_that_never_reads_delays_no_other_and_uses_bounded_memory",
        ),
        (
            "the store is down, and back",
            "its error, by its class and code; then no error",
            _TRANSPORTS,
            "test_faults.py::test_clients_work_again_when_the_store_is_back",
        ),
        (
            "more requests than the broker queues",
            "`UnavailableError` (`Overloaded`), at once",
            "all",
            "test_server.py::test_requests_beyond_the_concurrency_wait_and_beyond_the_queue_fail",
        ),
        (
            "malformed messages",
            "refused and counted; others are served",
            "all",
            "test_hostile.py::test_10_000_malformed_messages_are_answered",
        ),
        (
            "a message of 1 GB is announced",
            "the connection ends; the memory is bounded",
            "ZeroMQ",
            "test_hostile.py::test_an_announced_message_beyond_the_limit_ends_its_connection",
        ),
        (
            "1,000 connections without a handshake",
            "others are served; the memory is bounded",
            "ZeroMQ",
            "test_hostile.py::test_others_are_served_during_a_flood_of_1_000_connections",
        ),
        (
            "a recorded connection, or a message of it, is sent again",
            "refused",
            "ZeroMQ with keys",
            "test_hostile.py::test_a_replayed_connection_has_no_effect",
        ),
        (
            "a client with another key",
            "no answer; `UnavailableError` at its deadline",
            "ZeroMQ with keys",
            "test_keys.py::test_a_client_with_other_keys_gets_no_answer",
        ),
        (
            "a client without the right to write writes",
            "`RefusedError` (`Forbidden`)",
            "ZeroMQ with keys",
            "test_keys.py::test_a_client_may_do_what_is_listed",
        ),
    )
)


def section() -> str:
    """Returns the section of the page."""
    rows = (f"| {row.fault} | {row.result} | {transports} | `{row.test}` |\n" for row, transports in FAULTS)
    return INTRODUCTION + "".join(rows)
