"""The synchronous DynamoDB engine: carries on a conversation over a wire, and sleeps where it is asked to."""

from __future__ import annotations

import os
import random
import time
import weakref
from typing import Any

from ...config import DynamoDBConfig
from ...deadline import Deadline
from ...operations import StoreOperation, drive
from .boto3_wire import Boto3Wire
from .protocol import Attempt, Protocol, Response, Sleep
from .requests import Request
from .retry import Quota


class DynamoDBEngine:
    """A DynamoDB, on AWS or local. Nothing is loaded or opened before it is used."""

    def __init__(self, config: DynamoDBConfig) -> None:
        self.config = config
        self.start_anew()
        _ENGINES.add(self)

    def start_anew(self) -> None:
        """Forgets all that is loaded or open, as a fork of the process must."""
        self._wire = Boto3Wire(self.config)
        self._protocol = Protocol(Quota(), random.random, _draw_token)

    @property
    def attempt_seconds(self) -> float:
        """The longest time in seconds that one request can take."""
        return self._wire.attempt_seconds

    def prepare(self) -> None:
        """Makes the client, whose loading time is not the store's.

        Raises:
            ConfigurationError: The standard AWS configuration cannot be read.
        """
        _ = self._wire.client

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Carries out an operation and returns its result.

        Raises:
            RefusedError: DynamoDB refuses.
            UnavailableError: DynamoDB did not answer, or refused for load, after the retries.
            ConflictError: Other transactions were in the way until the deadline.
        """
        return drive(self._protocol.carry_out(operation, deadline), self._perform)

    def ask(self, action: str, request: Request, table: str, deadline: Deadline) -> Response:
        """Sends one request that is no operation, and returns the response; raises what ``execute`` raises."""
        return drive(self._protocol.ask(action, request, table, deadline), self._perform)

    def close(self) -> None:
        """Closes the connections; one who calls again has new ones."""
        self._wire.close()

    def _perform(self, step: Attempt | Sleep) -> Any:
        match step:
            case Attempt(action, request):
                return self._wire.attempt(action, request)
            case Sleep(seconds):
                time.sleep(seconds)
                return None


def _draw_token() -> str:
    return os.urandom(16).hex()


_ENGINES: weakref.WeakSet[DynamoDBEngine] = weakref.WeakSet()


def _start_all_anew() -> None:
    for engine in list(_ENGINES):
        engine.start_anew()


if hasattr(os, "register_at_fork"):
    # A connection that two processes share mixes up their answers, and a lock may be held for ever.
    os.register_at_fork(after_in_child=_start_all_anew)
