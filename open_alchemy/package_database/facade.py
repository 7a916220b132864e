"""The facade: binds the access patterns to an engine.

It owns a call's deadline, the clock, the randomness and the waiting between lost races. It knows no key and no store.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec, Protocol, Self, TypeVar, cast

from .arguments import check
from .backoff import full_jitter
from .deadline import Deadline
from .exceptions import ConflictError, RefusedError
from .operations import Backoff, Operation, Stamp, Stamped, Steps, StoreOperation, Transact, drive
from .tables import credentials, specs, users
from .tables.access_pattern import AccessPattern
from .types import TDatabase

_FIRST_BACKOFF = 0.05
_LONGEST_BACKOFF = 2.0

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")


class Engine(Protocol):
    """A store that carries out the vocabulary."""

    @property
    def attempt_seconds(self) -> float:
        """The longest time in seconds that one request to the store can take."""

    def prepare(self) -> None:
        """Loads what the first call needs, before its deadline begins: the time that takes is not the store's.

        Raises:
            ConfigurationError: The store's configuration cannot be read.
        """

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Carries out an operation and returns its result, as ``operations`` describes it.

        Raises:
            RefusedError: The store refuses.
            UnavailableError: The store did not answer before the deadline.
            ConflictError: Other transactions were in the way until the deadline.
        """

    def close(self) -> None:
        """Closes the connections that it holds open."""


class _ClosedEngine:
    """Stands in the place of an engine that was closed."""

    attempt_seconds = 0.0

    def prepare(self) -> None:
        raise RefusedError("the database was closed", code="Closed")

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        del operation, deadline
        self.prepare()

    def close(self) -> None:
        """Nothing is open."""


def _bind(
    pattern: AccessPattern[Parameters, Answer],
) -> Callable[Concatenate[Database, Parameters], Answer]:
    """Makes a method of the facade that runs an access pattern; its documentation is the interface's."""
    steps: Callable[..., Steps[Answer]] = pattern.steps

    # Without *args: a secret that is passed by its place is refused in the caller's frame, and is in none of ours.
    def method(self: Database, /, **arguments: Any) -> Answer:
        check(arguments)
        self.engine.prepare()
        deadline = Deadline(self.deadline, renewable=pattern.unbounded, attempt=self.engine.attempt_seconds)

        def perform(operation: Operation) -> Any:
            return _perform(operation, self.engine, deadline, pattern.name)

        return drive(steps(**arguments), perform)

    update_wrapper(method, getattr(TDatabase, pattern.name))
    return cast("Callable[Concatenate[Database, Parameters], Answer]", method)


class Database:
    """The synchronous facade over an engine; ``TDatabase`` describes its functions.

    Args:
        engine: The store.
        deadline: The deadline of a call in seconds.
    """

    def __init__(self, engine: Engine, *, deadline: float) -> None:
        self.engine = engine
        self.deadline = deadline

    def close(self) -> None:
        """Closes the connections to the store; every later call raises ``RefusedError``. May be called again."""
        engine, self.engine = self.engine, _ClosedEngine()
        engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    count_customer_models = _bind(specs.count_customer_models)
    create_update_spec = _bind(specs.create_update_spec)
    get_latest_spec_version = _bind(specs.get_latest_spec_version)
    list_specs = _bind(specs.list_specs)
    get_spec = _bind(specs.get_spec)
    delete_spec = _bind(specs.delete_spec)
    list_spec_versions = _bind(specs.list_spec_versions)
    delete_all_specs = _bind(specs.delete_all_specs)
    list_credentials = _bind(credentials.list_credentials)
    create_update_credentials = _bind(credentials.create_update_credentials)
    get_credentials = _bind(credentials.get_credentials)
    get_user = _bind(credentials.get_user)
    delete_credentials = _bind(credentials.delete_credentials)
    delete_all_credentials = _bind(credentials.delete_all_credentials)
    delete_all = _bind(users.delete_all)


def _perform(operation: Operation, engine: Engine, deadline: Deadline, name: str) -> Any:
    match operation:
        case Stamp():
            return Stamped(int(time.time()), os.urandom(16).hex())
        case Backoff(attempt):
            deadline.contended(anew=attempt == 0)
            # The last try starts when there is just time for it.
            delay = min(full_jitter(_FIRST_BACKOFF, attempt, _LONGEST_BACKOFF, random.random), deadline.spare())
            if not deadline.allows_race(delay):
                raise _lost_race(name, deadline)
            time.sleep(delay)
            return None
        case _:
            if deadline.is_contended and not deadline.allows():
                raise _lost_race(name, deadline)
            result = engine.execute(operation, deadline)
            if isinstance(operation, Transact):
                if result:
                    deadline.contended()
                else:
                    deadline.settled()
            return result


def _lost_race(name: str, deadline: Deadline) -> ConflictError:
    return ConflictError(f"{name} lost the race against other writers for {deadline.elapsed():.1f} s")
