"""One attempt at a request with boto3's low-level client; translates botocore's exceptions.

boto3 is imported when the first client is made. The client never retries: ``execution`` does.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from ...core.deadline import Deadline
from ...core.secret import Secret
from ...exceptions import ConfigurationError
from .botocore_errors import failure_of
from .botocore_session import make_session
from .config import DynamoDBConfig
from .execution import Response
from .log_redaction import silence_libraries, suppress_library_logs
from .requests import Request
from .retry import POOL_TIMEOUT, Failure, refusal
from .thread_executor import wait_in_loop
from .timeouts import CONNECTIONS, Timeouts
from .traceback_redaction import without_frames

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Attempt:
    """Send a request once with boto3. Result: the response, its binary values as ``Secret``, or a ``Failure``.

    Attributes:
        action: DynamoDB's action.
        request: Its parameters.
        seconds: The seconds after which the response is too late.
    """

    action: str
    request: Request
    seconds: float


class Boto3Client:
    """The boto3 client of one process and one endpoint. Making it loads boto3, but opens no connection.

    Raises:
        ConfigurationError: The standard AWS configuration cannot be read.
    """

    def __init__(self, config: DynamoDBConfig) -> None:
        self._timeouts = Timeouts.of(config.deadline)
        self.attempt_seconds = self._timeouts.attempt
        self.client = self._make_client(config)

    @staticmethod
    def attempts(action: str, request: Request, deadline: Deadline) -> Generator[Attempt, Any, Response | Failure]:
        """Returns the steps of an attempt."""
        response: Response | Failure = yield Attempt(action, request, deadline.attempt_seconds())
        return response

    def perform(self, attempt: Attempt) -> Response | Failure:
        """Makes an attempt and returns the response, its binary values as ``Secret``, or a failure.

        boto3's timeouts bound it, not the deadline.
        """
        from botocore import xform_name
        from botocore.exceptions import ClientError

        method = getattr(self.client, xform_name(attempt.action))
        try:
            with suppress_library_logs():
                response: dict[str, Any] = method(**attempt.request)
        except ClientError as error:
            without_frames(error)
            return _refused(error)
        except Exception as error:  # noqa: BLE001 (botocore raises a RuntimeError where refreshed credentials are expired)
            return failure_of(error)
        conceal(response)
        return response

    def close(self) -> None:
        """Closes the idle connections; a later attempt opens new ones."""
        self.client.close()

    def _make_client(self, config: DynamoDBConfig) -> DynamoDBClient:
        import boto3
        from botocore.config import Config as BotoConfig
        from botocore.exceptions import BotoCoreError

        given = config.credentials
        options = BotoConfig(
            connect_timeout=self._timeouts.connect,
            read_timeout=self._timeouts.read,
            retries={"total_max_attempts": 1, "mode": "standard"},
            max_pool_connections=CONNECTIONS,
            tcp_keepalive=True,
            parameter_validation=False,
        )
        try:
            session = boto3.session.Session(
                botocore_session=make_session(),
                region_name=config.region,
                aws_access_key_id=given.access_key_id if given else None,
                aws_secret_access_key=given.secret_access_key if given else None,
                aws_session_token=given.session_token if given else None,
            )
            client = session.client("dynamodb", endpoint_url=config.endpoint_url, config=options)
        except (BotoCoreError, ValueError) as error:
            raise ConfigurationError(f"boto3 cannot make a DynamoDB client of this configuration: {error}") from error
        silence_libraries()
        client.meta.events.register("response-received.dynamodb", _verify)
        return client


class ThreadedBoto3Client:
    """A ``Boto3Client`` for asyncio: each attempt runs in a thread of its own pool.

    An attempt whose call was cancelled, or whose deadline is exceeded, continues in its thread to its end.
    """

    def __init__(self, config: DynamoDBConfig) -> None:
        self._client = Boto3Client(config)
        self._threads = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="package-database")
        self.attempt_seconds = self._client.attempt_seconds
        self.attempts = self._client.attempts

    async def perform(self, attempt: Attempt) -> Response | Failure:
        """Makes an attempt and returns the response, its binary values as ``Secret``, or a failure."""
        running = self._threads.submit(self._client.perform, attempt)
        try:
            return await wait_in_loop(running, attempt.seconds)
        except TimeoutError as error:
            # An attempt that can still be cancelled waited for a thread, and for its connection, all the time.
            code = POOL_TIMEOUT if running.cancel() else "ReadTimeoutError"
            return Failure(code, answered=False, cause=error)
        finally:
            running.cancel()

    @staticmethod
    def queue() -> None:
        """Calls wait for a thread, which has its own connection."""

    async def aclose(self) -> None:
        """Closes the idle connections, which all loops share; a later attempt opens new ones."""
        self._client.close()


def find_region() -> str | None:
    """Returns the region of the AWS profile, if there is one.

    Raises:
        ConfigurationError: The standard AWS configuration cannot be read.
    """
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        return boto3.session.Session(botocore_session=make_session()).region_name
    except BotoCoreError as error:
        raise ConfigurationError(f"the AWS configuration cannot be read: {error}") from error


def conceal(response: Any) -> None:
    """Wraps every binary value of a response, in place, as ``Secret``."""
    places = response.items() if isinstance(response, dict) else enumerate(response)
    for place, value in places:
        if type(value) is bytes:
            response[place] = Secret(value)
        elif isinstance(value, dict | list):
            conceal(value)


def _verify(response_dict: Mapping[str, Any] | None = None, **_: object) -> None:
    """Refuses a response that was damaged in transit.

    botocore parses a body that is cut short, or is not JSON, as an empty response: an item would seem not to exist. It
    verifies the checksum only if an attempt is left for a retry.
    """
    if response_dict is None:
        return
    from botocore.exceptions import ChecksumError, IncompleteReadError
    from botocore.parsers import ResponseParserError

    headers, body = response_dict["headers"], response_dict["body"]
    length = headers.get("content-length")
    if length is not None and int(length) != len(body):
        raise IncompleteReadError(actual_bytes=len(body), expected_bytes=length)
    expected, actual = headers.get("x-amz-crc32"), str(crc32(body))
    if expected is not None and expected != actual:
        raise ChecksumError(checksum_type="crc32", expected_checksum=expected, actual_checksum=actual)
    text = body.strip()
    if response_dict["status_code"] == _OK and not (text.startswith(b"{") and text.endswith(b"}")):
        raise ResponseParserError("the body is not a JSON object")


def _refused(error: Any) -> Failure:
    response = error.response
    conceal(response)
    metadata = response.get("ResponseMetadata", {})
    return refusal(
        metadata.get("HTTPStatusCode", 0),
        response.get("Error", {}).get("Code"),
        metadata.get("HTTPHeaders", {}),
        response.get("CancellationReasons"),
        cause=error,
    )
