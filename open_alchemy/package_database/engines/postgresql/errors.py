"""Classifies the errors of psycopg. Pure.

https://www.postgresql.org/docs/current/errcodes-appendix.html

The DETAIL of an error contains values of the row, and the primary message of class 22 does: neither is shown.

libpq has no SQLSTATE for a failed connection, only a text, in English unless ``lc_messages`` of the server is another
language; and whether the server asked for a password. A wrong password is recognised by that, in every language.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import psycopg

from .retry import Failure, Kind

_KINDS: Final[Mapping[str, Kind]] = {
    "3F000": Kind.MISSING,  # invalid_schema_name
    "42P01": Kind.MISSING,  # undefined_table
    "42883": Kind.MISSING,  # undefined_function
    "40001": Kind.CONTENDED,  # serialization_failure
    "40P01": Kind.CONTENDED,  # deadlock_detected
    "22012": Kind.CONTENDED,  # division_by_zero: see ``put_statement``
    "55P03": Kind.CONTENDED,  # lock_not_available
    "25006": Kind.UNAVAILABLE,  # read_only_sql_transaction: the server became a standby
    "57P01": Kind.UNAVAILABLE,  # admin_shutdown
    "57P02": Kind.UNAVAILABLE,  # crash_shutdown
    "57P03": Kind.UNAVAILABLE,  # cannot_connect_now
    "57P05": Kind.UNAVAILABLE,  # idle_session_timeout
    "25P03": Kind.UNAVAILABLE,  # idle_in_transaction_session_timeout
    "57014": Kind.UNAVAILABLE,  # query_canceled, by statement_timeout or an operator
    "53300": Kind.UNAVAILABLE,  # too_many_connections
    "26000": Kind.UNAVAILABLE,  # invalid_sql_statement_name: a pooler exchanged the session
}
_MESSAGE_CLASSES: Final = frozenset({"08", "25", "28", "3D", "3F", "40", "42", "53", "54", "55", "57", "58"})
"""Classes whose primary messages contain names and settings, and no values."""
_REFUSED_CONNECTIONS: Final[Mapping[str, str]] = {
    "password authentication failed": "28P01",
    "no password supplied": "28P01",
    "no pg_hba.conf entry": "28000",
    "pg_hba.conf rejects connection": "28000",
    "authentication failed": "28000",
    "is not permitted to log in": "28000",
    "requires a valid client certificate": "28000",
    "certificate verify failed": "CertificateRefused",
    "does not match host name": "CertificateRefused",
    "root certificate file": "CertificateRefused",
    "server does not support SSL": "CertificateRefused",
    "alert unknown ca": "CertificateRefused",
    "permission denied for database": "42501",
    ' value: "': "InvalidParameter",
    "invalid integer value": "InvalidParameter",
    "invalid port number": "InvalidParameter",
    "bad value for connect_timeout": "InvalidParameter",
    "definition of service": "InvalidParameter",
}
_AFTER_PASSWORD: Final = (
    "too many connections",
    "connection slots are reserved",
    "terminating connection",
    "server closed the connection",
    "could not receive data",
    "SSL SYSCALL error",
)
"""Texts of failures after the server asked for a password which do not mean that it is wrong."""
_CONNECTION: Final = "ConnectionFailure"


def failure_of(error: psycopg.Error) -> Failure:
    """Returns the failure that an error of a statement means."""
    code = error.sqlstate
    if code is None and isinstance(error, psycopg.DataError | psycopg.ProgrammingError | psycopg.NotSupportedError):
        # Of psycopg itself, such as for a text with U+0000, which it does not send.
        return Failure(Kind.REFUSED, type(error).__name__, "a value cannot be sent")
    if code is None:
        # The connection was lost: libpq's text may repeat the last message of the server.
        return Failure(Kind.UNAVAILABLE, _CONNECTION, "the connection was lost")
    kind = _KINDS.get(code, Kind.UNAVAILABLE if code.startswith("08") else Kind.REFUSED)
    message = error.diag.message_primary if code[:2] in _MESSAGE_CLASSES else None
    return Failure(kind, code, message or type(error).__name__)


def connection_failure_of(error: psycopg.Error) -> Failure:
    """Returns the failure that an error of connecting means."""
    text = " ".join(str(error).split())
    for part, code in _REFUSED_CONNECTIONS.items():
        if part in text:
            return Failure(Kind.REFUSED, code, text)
    if "FATAL:" in text and text.endswith("does not exist"):
        return Failure(Kind.REFUSED, "28000" if "role" in text else "3D000", text)
    if _is_password_wrong(error, text):
        return Failure(Kind.REFUSED, "28P01", text)
    return Failure(Kind.UNAVAILABLE, error.sqlstate or _CONNECTION, text)


def _is_password_wrong(error: psycopg.Error, text: str) -> bool:
    """Returns whether the server asked for a password, and gave no other known reason for its refusal."""
    connection = error.pgconn
    if connection is None:
        return False
    is_other = any(part in text for part in _AFTER_PASSWORD)
    return connection.needs_password or (connection.used_password and not is_other)
