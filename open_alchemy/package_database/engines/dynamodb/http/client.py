"""The package's HTTP client for DynamoDB, blocking and for asyncio: attempts over a transport."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from ....exceptions import ConfigurationError
from ..botocore_errors import failure_of
from ..config import Credentials, DynamoDBConfig
from ..execution import Response
from ..retry import Failure
from ..timeouts import Timeouts
from ..traceback_redaction import without_frames
from .attempt import Exchange, FetchCredentials, HttpAttempts, Parse
from .credentials import Source, find_source
from .endpoint import Endpoint
from .response import HttpResponse
from .sync_transport import SyncTransport
from .transport_errors import ExchangeError

if TYPE_CHECKING:
    from ssl import SSLContext

_AGENT: Final = "open-alchemy.package-database"


class HttpClient:
    """Sends requests over a pool of sockets. Creating one may read files and fetch credentials.

    Args:
        config: The configuration.
        endpoint: The DynamoDB endpoint.
        environment: The environment variables.

    Raises:
        ConfigurationError: The AWS configuration cannot be read.
    """

    attempt_seconds = 0.0
    """An attempt ends at the deadline at the latest."""

    def __init__(self, config: DynamoDBConfig, endpoint: Endpoint, environment: Mapping[str, str]) -> None:
        self._source = _find_source(config, environment)
        self._http = HttpAttempts(endpoint, self._source, agent=_AGENT)
        self.attempts = self._http.attempt
        self._transport = SyncTransport(endpoint, _tls_context(endpoint), Timeouts.of(config.deadline))

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()

    def perform(self, step: FetchCredentials | Exchange | Parse) -> HttpResponse | Credentials | Response | Failure:
        """Performs a step of an attempt, and returns its result."""
        match step:
            case Exchange(render, deadline):
                try:
                    return self._transport.exchange(render, deadline)
                except ExchangeError as error:
                    return error.failure()
            case Parse(response, skew):
                return self._http.read(response, skew)
            case FetchCredentials():
                return _fetch(self._source)


class AsyncHttpClient:
    """The ``HttpClient`` for asyncio, with connections of the running loop."""

    attempt_seconds = 0.0

    def __init__(self, config: DynamoDBConfig, endpoint: Endpoint, environment: Mapping[str, str]) -> None:
        from ..thread_executor import IO_THREADS, BlockingCalls
        from .async_transport import AsyncTransport

        self._source = _find_source(config, environment)
        self._http = HttpAttempts(endpoint, self._source, agent=_AGENT)
        self.attempts = self._http.attempt
        self._io, self._decoder = BlockingCalls(IO_THREADS), BlockingCalls(1)
        self._transport = AsyncTransport(
            endpoint, _tls_context(endpoint), Timeouts.of(config.deadline), self._io, config.deadline
        )
        self.queue = self._transport.queue

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._transport.aclose()
        self._io.close()
        self._decoder.close()

    async def perform(
        self, step: FetchCredentials | Exchange | Parse
    ) -> HttpResponse | Credentials | Response | Failure:
        """Performs a step of an attempt, and returns its result."""
        # Not a case: to match its attributes costs as much as to decode a small response.
        if isinstance(step, Exchange):
            try:
                return await self._transport.exchange(step.render, step.deadline)
            except ExchangeError as error:
                return error.failure()
        match step:
            case Parse(response, skew, deadline):
                try:
                    return await self._decoder.run(deadline, self._http.read, response, skew)
                except TimeoutError as error:
                    return Failure("DecodeTimeoutError", answered=False, cause=error)
            case FetchCredentials(deadline):
                try:
                    return await self._io.run(deadline, _fetch, self._source)
                except TimeoutError as error:
                    return Failure("CredentialsTimeoutError", answered=False, cause=error)


def _find_source(config: DynamoDBConfig, environment: Mapping[str, str]) -> Source:
    source = find_source(config, environment)
    if source.cached() is None:
        try:
            source.fetch()
        except Exception as error:
            without_frames(error)
            raise ConfigurationError(f"botocore finds no AWS credentials in this configuration: {error}") from error
    return source


def _tls_context(endpoint: Endpoint) -> SSLContext | None:
    if not endpoint.is_encrypted:
        return None
    from .tls import make_context

    return make_context(endpoint.ca_bundle)


def _fetch(source: Source) -> Credentials | Failure:
    try:
        return source.fetch() or Failure("NoCredentialsError")
    except Exception as error:  # noqa: BLE001 (botocore raises a RuntimeError where refreshed credentials are expired)
        return failure_of(error)
