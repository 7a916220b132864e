"""The faults of a PostgreSQL server: the result of each, and the test that shows it on a real server."""

from __future__ import annotations

from typing import Final, NamedTuple


class ServerFault(NamedTuple):
    """A row of the table.

    Attributes:
        fault: The fault.
        result: What a call does.
        test: A test in ``tests/postgresql``, by its file and name.
    """

    fault: str
    result: str
    test: str


INTRODUCTION: Final = """
## PostgreSQL

Each fault is tested on a real server; the tests are in `tests/postgresql`, and most run with both APIs. `code` of the
error is the SQLSTATE, or the name in parentheses.

| fault | result | test |
|---|---|---|
"""
AFTERWORD: Final = """
libpq reports a refused connection as text, without a SQLSTATE, in the language of the server's `lc_messages`. A wrong
password is recognised in every language, because libpq also states whether the server asked for a password. With a
language other than English, the other refusals of a connection are repeated until the deadline, or, after the server
asked for a password, have the code 28P01.
"""

_UNREACHABLE: Final = "repeated until the deadline, then `UnavailableError` (`ConnectionFailure`)"
_CERTIFICATE: Final = "`RefusedError` (`CertificateRefused`), at once"

FAULTS: Final = tuple(
    ServerFault(*row)
    for row in (
        (
            "all connections of the pool are in use",
            "`UnavailableError` (`PoolExhausted`) after `pool_block_timeout`, or at the deadline",
            "test_faults.py::test_a_call_waits_for_a_connection_until_the_timeout_of_the_pool",
        ),
        (
            "the server is down",
            _UNREACHABLE,
            "test_faults.py::test_a_server_that_cannot_be_reached_is_tried_until_the_deadline",
        ),
        (
            "the server starts up",
            "repeated until it has started: no error",
            "test_faults.py::test_a_restart_of_the_server_is_no_error",
        ),
        (
            "the server ends all sessions, as at a shutdown",
            "reconnected and repeated: no error",
            "test_faults.py::test_terminated_connections_are_replaced_without_an_error",
        ),
        (
            "SIGKILL of the server under writers",
            "no acknowledged version is lost, none is doubled",
            "test_kill.py::test_no_acknowledged_version_is_lost_to_a_kill_of_the_server",
        ),
        (
            "the response to a commit is lost",
            "resolved by its token: no error, one effect",
            "test_faults.py::test_a_commit_whose_response_is_lost_takes_effect_once",
        ),
        (
            "a statement waits for a lock",
            "cancelled on the server at the deadline: `UnavailableError` (`DeadlineExceeded`)",
            "test_faults.py::test_a_statement_that_waits_for_a_lock_is_cancelled_at_the_deadline",
        ),
        (
            "the server became a read-only standby, for a time",
            "repeated until it can write: no error",
            "test_faults.py::test_a_server_that_is_read_only_for_a_time_is_no_error",
        ),
        (
            "the server stays a read-only standby",
            "repeated until the deadline, then `UnavailableError` (25006)",
            "test_faults.py::test_a_lasting_error_has_its_code",
        ),
        (
            "the role or the server has no free connection",
            _UNREACHABLE,
            "test_faults.py::test_a_role_without_free_connections_is_unavailable",
        ),
        (
            "deadlock, serialization failure, once",
            "repeated: no error",
            "test_faults.py::test_a_transient_error_is_repeated",
        ),
        (
            "deadlock, serialization failure, permanently",
            "repeated until the deadline, then `ConflictError` (40P01, 40001)",
            "test_faults.py::test_a_lasting_error_has_its_code",
        ),
        ("the disk is full", "`RefusedError` (53100)", "test_faults.py::test_a_lasting_error_has_its_code"),
        ("no rights", "`RefusedError` (42501)", "test_faults.py::test_a_role_without_rights_is_refused"),
        (
            "wrong or missing password",
            "`RefusedError` (28P01), at once",
            "test_tls.py::test_a_wrong_password_is_refused_in_every_language_and_not_shown",
        ),
        (
            "a certificate of the server of another authority",
            _CERTIFICATE,
            "test_tls.py::test_a_certificate_of_another_authority_is_refused",
        ),
        (
            "a certificate of the server for another host",
            _CERTIFICATE,
            "test_tls.py::test_a_certificate_of_another_host_is_refused",
        ),
        (
            "a client certificate of another authority",
            _CERTIFICATE,
            "test_tls.py::test_a_client_certificate_of_another_authority_is_refused",
        ),
        (
            "no client certificate",
            "`RefusedError` (28000), at once",
            "test_tls.py::test_a_missing_client_certificate_is_refused",
        ),
        (
            "the client certificate of another role",
            "`RefusedError` (28000), at once",
            "test_tls.py::test_a_client_certificate_of_another_role_is_refused",
        ),
        (
            "the role or the database does not exist",
            "`RefusedError` (28000, 3D000), at once",
            "test_faults.py::test_a_connection_that_is_refused_is_not_repeated",
        ),
        (
            "a wrong value of a parameter of libpq, or an unknown `service`",
            "`RefusedError` (`InvalidParameter`), at once",
            "test_faults.py::test_a_connection_that_is_refused_is_not_repeated",
        ),
        (
            "the server has no TLS, and `sslmode` requires it",
            _CERTIFICATE,
            "test_faults.py::test_a_connection_that_is_refused_is_not_repeated",
        ),
        (
            "the database has no tables",
            "`RefusedError` (`NotCreated`) that names `tables create`",
            "test_administration.py::test_a_database_without_tables_names_the_command",
        ),
        (
            "the schema of a shard is missing",
            "the catalogs are read again; `RefusedError` (42P01) that names `tables create`",
            "test_faults.py::test_a_missing_schema_names_the_command",
        ),
        (
            "a shard moves",
            "the call waits, and continues on the other server: no error",
            "test_moves.py::test_a_stale_process_continues_after_a_move",
        ),
        (
            "a shard is between two servers because `shards move` was killed",
            "repeated until the deadline, then `UnavailableError` (`ShardMoving`)",
            "test_moves.py::test_between_the_two_parts_of_the_switch_calls_wait",
        ),
        (
            "the connection string is not one of libpq",
            "`ConfigurationError`",
            "test_faults.py::test_a_wrong_connection_string_is_a_configuration_error_without_its_text",
        ),
        (
            "psycopg is missing",
            "`ConfigurationError` that names the extra",
            "test_faults.py::test_without_the_driver_the_extra_is_named",
        ),
    )
)


def section() -> str:
    """Returns the section of the page."""
    rows = (f"| {row.fault} | {row.result} | `{row.test}` |\n" for row in FAULTS)
    return INTRODUCTION + "".join(rows) + AFTERWORD
