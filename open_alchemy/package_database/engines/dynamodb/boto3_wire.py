"""One attempt at a request, through boto3's low-level client; translates botocore's exceptions.

boto3 is imported when the first client is made. The client never retries: ``protocol`` does.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from ...config import DynamoDBConfig
from ...exceptions import ConfigurationError
from ...secret import Secret
from .discretion import discretion, silence_libraries, without_frames
from .requests import Request
from .retry import Failure

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_CONNECT_SHARE: Final = 0.1
_READ_SHARE: Final = 0.3
_LONGEST_CONNECT: Final = 2.0
_LONGEST_READ: Final = 6.0
_POOL_CONNECTIONS: Final = 50
_OK: Final = 200


class Boto3Wire:
    """The client of one process and one endpoint, made on first use.

    The timeouts are shares of the deadline: an attempt that gets no answer leaves time for another.
    """

    def __init__(self, config: DynamoDBConfig) -> None:
        self._config = config
        self._connect_timeout = min(_LONGEST_CONNECT, config.deadline * _CONNECT_SHARE)
        self._read_timeout = min(_LONGEST_READ, config.deadline * _READ_SHARE)
        self.attempt_seconds = self._connect_timeout + self._read_timeout
        self._lock = threading.Lock()
        self._client: DynamoDBClient | None = None

    @property
    def client(self) -> DynamoDBClient:
        """The client, made under a lock by the first who asks.

        Raises:
            ConfigurationError: The standard AWS configuration cannot be read.
        """
        if self._client is None:
            with self._lock:
                if self._client is None:
                    self._client = self._make_client()
        return self._client

    def attempt(self, action: str, request: Request) -> Mapping[str, Any] | Failure:
        """Sends a request once.

        Returns:
            The response, its binary values as ``Secret``, or what went wrong.
        """
        from botocore import xform_name
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        method = getattr(self.client, xform_name(action))
        try:
            with discretion():
                response: dict[str, Any] = method(**request)
        except ClientError as error:
            without_frames(error)
            return _refused(error)
        except (BotoCoreError, ResponseParserError) as error:
            without_frames(error)
            return Failure(type(error).__name__, answered=not _is_transient(error), cause=error)
        except Exception as error:  # noqa: BLE001 (botocore raises a RuntimeError where refreshed credentials are expired)
            without_frames(error)
            return Failure(type(error).__name__, cause=error)
        conceal(response)
        return response

    def close(self) -> None:
        """Closes the connections of the client, if it was made."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _make_client(self) -> DynamoDBClient:
        import boto3
        from botocore.config import Config as BotoConfig
        from botocore.exceptions import BotoCoreError

        given = self._config.credentials
        options = BotoConfig(
            connect_timeout=self._connect_timeout,
            read_timeout=self._read_timeout,
            retries={"total_max_attempts": 1, "mode": "standard"},
            max_pool_connections=_POOL_CONNECTIONS,
            tcp_keepalive=True,
            parameter_validation=False,
        )
        try:
            session = boto3.session.Session(
                region_name=self._config.region,
                aws_access_key_id=given.access_key_id if given else None,
                aws_secret_access_key=given.secret_access_key if given else None,
                aws_session_token=given.session_token if given else None,
            )
            client = session.client("dynamodb", endpoint_url=self._config.endpoint_url, config=options)
        except (BotoCoreError, ValueError) as error:
            raise ConfigurationError(f"boto3 makes no DynamoDB client of this configuration: {error}") from error
        silence_libraries()
        client.meta.events.register("response-received.dynamodb", _verify)
        return client


def find_region() -> str | None:
    """Returns the region of the AWS profile, if there is one.

    Raises:
        ConfigurationError: The standard AWS configuration cannot be read.
    """
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        return boto3.session.Session().region_name
    except BotoCoreError as error:
        raise ConfigurationError(f"the AWS configuration cannot be read: {error}") from error


def conceal(response: Any) -> None:
    """Wraps every binary value of a response, in place, so that no repr shows it."""
    places = response.items() if isinstance(response, dict) else enumerate(response)
    for place, value in places:
        if type(value) is bytes:
            response[place] = Secret(value)
        elif isinstance(value, dict | list):
            conceal(value)


def _verify(response_dict: Mapping[str, Any] | None = None, **_: object) -> None:
    """Refuses an answer that did not arrive as it was sent.

    botocore takes a body that is cut short, or is no JSON, for an empty answer: an item would seem not to be there. And
    it verifies the checksum only where an attempt is left for a retry.
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
        raise ResponseParserError("the body is no JSON object")


def _refused(error: Any) -> Failure:
    response = error.response
    conceal(response)
    metadata = response.get("ResponseMetadata", {})
    milliseconds = metadata.get("HTTPHeaders", {}).get("x-amz-retry-after", "")
    return Failure(
        code=str(response.get("Error", {}).get("Code", "Unknown")),
        status=metadata.get("HTTPStatusCode"),
        request_id=metadata.get("RequestId"),
        reasons=tuple(response.get("CancellationReasons", ())),
        retry_after=int(milliseconds) / 1000 if milliseconds.isdecimal() else None,
        cause=error,
    )


def _is_transient(error: Exception) -> bool:
    from botocore import exceptions
    from botocore.parsers import ResponseParserError

    return isinstance(
        error,
        ResponseParserError
        | exceptions.ConnectionError
        | exceptions.HTTPClientError
        | exceptions.ChecksumError
        | exceptions.IncompleteReadError,
    )
