"""The two faces of the database, blocking and awaiting: they bind the access patterns to an engine.

They own a call's deadline, the clock, the randomness and the waiting between lost races. They know no key and no store.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Coroutine, Generator
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, cast

from .async_types import AsyncTDatabase
from .core.deadline import Deadline
from .core.operations import Steps, StoreOperation
from .core.runner import Sleep, Sources, drive, drive_async, execute_steps
from .engines.config import Config
from .engines.port import AsyncEngine, Engine
from .exceptions import RefusedError
from .model import credentials, specs, users
from .model.access_pattern import AccessPattern
from .model.validation import check
from .types import TDatabase

SYSTEM = Sources(
    # Looked up at the time of the call: tests replace time.time.
    seconds=lambda: time.time(),  # noqa: PLW0108
    revision=lambda: os.urandom(16).hex(),
    random=random.random,
)

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")


class _ClosedEngine:
    """Stands in the place of an engine that was closed."""

    attempt_seconds = 0.0

    def __init__(self, config: Config) -> None:
        self.config = config

    def prepare(self) -> None:
        raise RefusedError("the database was closed", code="Closed")

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        del operation, deadline
        self.prepare()

    def close(self) -> None:
        """Nothing is open."""


def _bind(pattern: AccessPattern[Parameters, Answer]) -> Callable[Concatenate[Database, Parameters], Answer]:
    """Makes a method that runs an access pattern; its documentation is the interface's."""
    steps: Callable[..., Steps[Answer]] = pattern.steps

    # Without *args: a secret that is passed by its place is refused in the caller's frame, and is in none of ours.
    def method(self: Database, /, **arguments: Any) -> Answer:
        check(arguments)
        self.engine.prepare()
        deadline = Deadline(self.deadline, renewable=pattern.unbounded, attempt=self.engine.attempt_seconds)
        return drive(
            _execute(steps(**arguments), pattern.name, deadline),
            # The engine of now: the database may be closed meanwhile.
            lambda operation: self.engine.execute(operation, deadline),
        )

    update_wrapper(method, getattr(TDatabase, pattern.name))
    return cast("Callable[Concatenate[Database, Parameters], Answer]", method)


def _bind_async(
    pattern: AccessPattern[Parameters, Answer],
) -> Callable[Concatenate[AsyncDatabase, Parameters], Coroutine[Any, Any, Answer]]:
    """Makes a coroutine method that runs an access pattern."""
    steps: Callable[..., Steps[Answer]] = pattern.steps

    async def method(self: AsyncDatabase, /, **arguments: Any) -> Answer:
        check(arguments)
        engine = self.engine
        await engine.prepare()
        deadline = Deadline(self.deadline, renewable=pattern.unbounded, attempt=engine.attempt_seconds)
        return await drive_async(
            _execute(steps(**arguments), pattern.name, deadline),
            lambda operation: engine.execute(operation, deadline),
        )

    update_wrapper(method, getattr(AsyncTDatabase, pattern.name))
    return cast("Callable[Concatenate[AsyncDatabase, Parameters], Coroutine[Any, Any, Answer]]", method)


class Database:
    """The blocking face over an engine; ``TDatabase`` describes its functions.

    Args:
        engine: The store.
        deadline: The deadline of a call in seconds.
    """

    def __init__(self, engine: Engine, *, deadline: float) -> None:
        self.engine = engine
        self.deadline = deadline

    def close(self) -> None:
        """Closes the connections to the store; every later call raises ``RefusedError``. May be called again."""
        engine, self.engine = self.engine, _ClosedEngine(self.engine.config)
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


class AsyncDatabase:
    """The awaiting face over an engine; ``AsyncTDatabase`` describes its functions.

    Args:
        engine: The store.
        deadline: The deadline of a call in seconds.
    """

    def __init__(self, engine: AsyncEngine, *, deadline: float) -> None:
        self.engine = engine
        self.deadline = deadline

    async def aclose(self) -> None:
        """Closes the connections of the running loop; a later call opens new ones."""
        await self.engine.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    count_customer_models = _bind_async(specs.count_customer_models)
    create_update_spec = _bind_async(specs.create_update_spec)
    get_latest_spec_version = _bind_async(specs.get_latest_spec_version)
    list_specs = _bind_async(specs.list_specs)
    get_spec = _bind_async(specs.get_spec)
    delete_spec = _bind_async(specs.delete_spec)
    list_spec_versions = _bind_async(specs.list_spec_versions)
    delete_all_specs = _bind_async(specs.delete_all_specs)
    list_credentials = _bind_async(credentials.list_credentials)
    create_update_credentials = _bind_async(credentials.create_update_credentials)
    get_credentials = _bind_async(credentials.get_credentials)
    get_user = _bind_async(credentials.get_user)
    delete_credentials = _bind_async(credentials.delete_credentials)
    delete_all_credentials = _bind_async(credentials.delete_all_credentials)
    delete_all = _bind_async(users.delete_all)


def _execute(steps: Steps[Answer], name: str, deadline: Deadline) -> Generator[StoreOperation | Sleep, Any, Answer]:
    return execute_steps(steps, next(steps), name, deadline, SYSTEM)


def run(steps: Steps[Answer], engine: Engine, *, seconds: float, name: str) -> Answer:
    """Runs steps that are no function of the database, an operator's, on an engine.

    Args:
        steps: The steps.
        engine: The store.
        seconds: How long the steps may stand still.
        name: What errors call them.
    """
    engine.prepare()
    deadline = Deadline(seconds, renewable=True, attempt=engine.attempt_seconds)
    return drive(_execute(steps, name, deadline), lambda operation: engine.execute(operation, deadline))
