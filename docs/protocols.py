"""Renders the protocols of the database from the access patterns: ``TDatabase`` and ``AsyncTDatabase``.

An access pattern is the only definition of a function: its parameters, its result and its docstring. The errors that
every function raises are added here.
"""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import indent
from typing import Any

from open_alchemy.package_database import async_types, types
from open_alchemy.package_database.model import ACCESS_PATTERNS
from open_alchemy.package_database.model.access_pattern import AccessPattern

TYPES = Path(types.__file__)
ASYNC_TYPES = Path(async_types.__file__)

MARKER = "# From here on written by `python -m docs.generate` from the access patterns of model/; do not edit it.\n"

SYNC_HEADER = '''
class TDatabase(Protocol):
    """The database. Every argument is a keyword argument.

    A call ends with its deadline: ``PACKAGE_DATABASE_DEADLINE``, or 5 seconds. In a call on any number of items, each
    page and each transaction restarts the deadline.
    """
'''
SYNC_FOOTER = '''
class TConnectedDatabase(TDatabase, Protocol):
    """A database that ``connect`` returned; its owner closes it, or uses it as a context manager."""

    def close(self) -> None:
        """Closes the connections to the store; every later call raises ``RefusedError``. May be called again."""

    def __enter__(self) -> Self:
        """Returns the database."""

    def __exit__(self, *_: object) -> None:
        """Closes the database."""
'''
ASYNC_HEADER = '''\
"""The interface of the database for asyncio.

Written by ``python -m docs.generate`` from the access patterns of ``model/``; do not edit it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol, Self

from .types import (
    BytesLike,
    TCredentialsInfo,
    TCredentialsInfoList,
    TSpecInfo,
    TSpecInfoList,
    TSpecSnapshot,
    auth_info,
)


class AsyncTDatabase(Protocol):
    """The database for asyncio. Every argument is a keyword argument.

    A call ends with its deadline: ``PACKAGE_DATABASE_DEADLINE``, or 5 seconds. In a call on any number of items, each
    page and each transaction restarts the deadline.
    """
'''
ASYNC_FOOTER = '''
    async def aclose(self) -> None:
        """Closes the connections to the store; every later call raises ``RefusedError``. May be called again.

        They are closed too when the loop shuts down its asynchronous generators, as ``asyncio.run`` does.
        """

    async def __aenter__(self) -> Self:
        """Returns the database."""

    async def __aexit__(self, *_: object) -> None:
        """Closes the database."""
'''
ERRORS = """\
    ValidationError: An argument is invalid; raised before any I/O.
    ConfigurationError: The configuration of the store cannot be read; raised by the first call.
    RefusedError: The store refuses the request, a stored item is damaged, or the database is closed.
    UnavailableError: The store did not answer before the deadline."""


def render_types(patterns: Sequence[AccessPattern[..., Any]] = ACCESS_PATTERNS) -> str:
    """Returns the text of types.py: what is before the marker unchanged, then the protocols."""
    values, _, _ = TYPES.read_text(encoding="utf-8").partition(MARKER)
    functions = [render_function(pattern) for pattern in patterns]
    return "".join([values, MARKER, SYNC_HEADER, *functions, SYNC_FOOTER])


def render_async_types(patterns: Sequence[AccessPattern[..., Any]] = ACCESS_PATTERNS) -> str:
    """Returns the text of async_types.py."""
    functions = [render_function(pattern, is_async=True) for pattern in patterns]
    return "".join([ASYNC_HEADER, *functions, ASYNC_FOOTER])


def render_function(pattern: AccessPattern[..., Any], *, is_async: bool = False) -> str:
    """Returns the method of a protocol, not formatted."""
    signature = inspect.signature(pattern.steps)
    parameters = ", ".join(["self", "*", *map(_parameter, signature.parameters.values())])
    result = str(signature.return_annotation).removeprefix("Steps[").removesuffix("]")
    # Its module is imported on first use.
    result = result.replace("CredentialsAuthInfo", "auth_info.CredentialsAuthInfo")
    if pattern.is_stream:
        result = result.replace("StreamPage", "AsyncGenerator" if is_async else "Generator")
    is_coroutine = is_async and not pattern.is_stream
    definition = f"{'async ' * is_coroutine}def {pattern.name}({parameters}) -> {result}:"
    docstring = indent(f'"""{_document(pattern)}\n"""', " " * 4)
    return "\n" + indent(f"{definition}\n{docstring}\n", " " * 4)


def formatted(text: str, path: Path) -> str:
    """Returns the text of a module as ruff formats it."""
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(path), "-"]
    return subprocess.run(command, input=text, capture_output=True, check=True, encoding="utf-8").stdout


def _parameter(parameter: inspect.Parameter) -> str:
    default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
    return f"{parameter.name}: {parameter.annotation}{default}"


def _document(pattern: AccessPattern[..., Any]) -> str:
    """Returns the docstring of a function with the errors that every function raises."""
    text = inspect.getdoc(pattern.steps) or ""
    return f"{text}\n{ERRORS}" if "\nRaises:\n" in text else f"{text}\n\nRaises:\n{ERRORS}"
