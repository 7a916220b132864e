"""The lean wire: the core over the blocking transport, and over the awaiting one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from ....exceptions import ConfigurationError
from ..botocore_errors import failure_of
from ..config import Credentials, DynamoDBConfig
from ..execution import Response
from ..limits import Timeouts
from ..retry import Failure
from ..traceback_redaction import without_frames
from .credentials import Source, find_source
from .endpoint import Endpoint
from .errors import ExchangeError
from .exchange import Core, Exchange, Fetch, Read
from .response import Answer
from .sync_transport import SyncTransport

if TYPE_CHECKING:
    from ssl import SSLContext

_AGENT: Final = "open-alchemy.package-database"


class HttpClient:
    """Carries requests over sockets of its own. To make one may take a while; it opens no connection.

    Args:
        config: The configuration.
        endpoint: Where DynamoDB is.
        environment: The environment's variables.

    Raises:
        ConfigurationError: The AWS configuration cannot be read.
    """

    attempt_seconds = 0.0
    """It gives an attempt up when its time is over."""

    def __init__(self, config: DynamoDBConfig, endpoint: Endpoint, environment: Mapping[str, str]) -> None:
        self._source = _find_source(config, environment)
        self._core = Core(endpoint, self._source, agent=_AGENT, longest=Timeouts.of(config.deadline).attempt)
        self.attempts = self._core.attempts
        self._transport = SyncTransport(endpoint, _trust(endpoint), Timeouts.of(config.deadline).connect)

    def close(self) -> None:
        """Closes the idle connections; a later attempt opens new ones."""
        self._transport.close()

    def perform(self, step: Fetch | Exchange | Read) -> Answer | Credentials | Response | Failure:
        """Performs a step of an attempt, and returns its result."""
        match step:
            case Exchange(data, seconds):
                try:
                    return self._transport.exchange(data, seconds)
                except ExchangeError as error:
                    return error.failure()
            case Read(answer, skew):
                return self._core.read(answer, skew)
            case Fetch():
                return _fetch(self._source)


class AsyncHttpClient:
    """Carries requests over connections of the running loop. Otherwise a ``HttpClient``."""

    attempt_seconds = 0.0

    def __init__(self, config: DynamoDBConfig, endpoint: Endpoint, environment: Mapping[str, str]) -> None:
        from .async_transport import AsyncTransport

        self._source = _find_source(config, environment)
        self._core = Core(endpoint, self._source, agent=_AGENT, longest=Timeouts.of(config.deadline).attempt)
        self.attempts = self._core.attempts
        self._transport = AsyncTransport(endpoint, _trust(endpoint), Timeouts.of(config.deadline).connect)

    async def aclose(self) -> None:
        """Closes the connections of the running loop; a later attempt opens new ones."""
        await self._transport.aclose()

    async def perform(self, step: Fetch | Exchange | Read) -> Answer | Credentials | Response | Failure:
        """Performs a step of an attempt, and returns its result."""
        match step:
            case Exchange(data, seconds):
                try:
                    return await self._transport.exchange(data, seconds)
                except ExchangeError as error:
                    return error.failure()
            case Read(answer, skew):
                return await self._transport.in_a_thread(self._core.read, answer, skew)
            case Fetch():
                return await self._transport.in_a_thread(_fetch, self._source)


def _find_source(config: DynamoDBConfig, environment: Mapping[str, str]) -> Source:
    source = find_source(config, environment)
    if source.at_hand() is None:
        try:
            source.fetch()
        except Exception as error:
            without_frames(error)
            raise ConfigurationError(f"botocore finds no AWS credentials in this configuration: {error}") from error
    return source


def _trust(endpoint: Endpoint) -> SSLContext | None:
    if not endpoint.is_encrypted:
        return None
    from .tls import make_context

    return make_context(endpoint.ca_bundle)


def _fetch(source: Source) -> Credentials | Failure:
    try:
        return source.fetch() or Failure("NoCredentialsError")
    except Exception as error:  # noqa: BLE001 (botocore raises a RuntimeError where refreshed credentials are expired)
        return failure_of(error)
