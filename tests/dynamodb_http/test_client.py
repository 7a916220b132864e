"""The steps of an HTTP client that wait for a thread or for the source of credentials."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.engines.dynamodb.http.attempt import FetchCredentials, Parse
from open_alchemy.package_database.engines.dynamodb.http.client import AsyncHttpClient, HttpClient
from open_alchemy.package_database.engines.dynamodb.http.endpoint import Endpoint
from open_alchemy.package_database.engines.dynamodb.http.response import HttpResponse
from open_alchemy.package_database.engines.dynamodb.retry import Failure
from tests.apis import config_of

ENDPOINT = Endpoint("127.0.0.1", 1, "us-east-1", is_encrypted=False, authority="h")
CONFIG = config_of("http://127.0.0.1:1")
OVER = Deadline(0.0)


@pytest.mark.parametrize(
    ("threads", "step", "code"),
    [
        ("_decoder", Parse(HttpResponse(), 0.0, OVER), "DecodeTimeoutError"),
        ("_io", FetchCredentials(OVER), "CredentialsTimeoutError"),
    ],
)
def test_a_step_that_finds_no_thread_until_the_deadline_fails(threads: str, step: Any, code: str) -> None:
    is_over = threading.Event()

    async def perform() -> Any:
        client = AsyncHttpClient(CONFIG, ENDPOINT, {})
        executor = getattr(client, threads)._executor
        for _ in range(executor._max_workers):
            executor.submit(is_over.wait)
        try:
            return await client.perform(step)
        finally:
            is_over.set()
            await client.aclose()

    failure = asyncio.run(perform())

    assert isinstance(failure, Failure)
    assert (failure.code, failure.answered) == (code, False)


class Source:
    """A source of credentials."""

    def __init__(self, result: Exception | None) -> None:
        self.result = result

    def fetch(self) -> None:
        if self.result is not None:
            raise self.result


@pytest.mark.parametrize(
    ("result", "code"), [(None, "NoCredentialsError"), (RuntimeError("the credentials are expired"), "RuntimeError")]
)
def test_a_source_without_credentials_is_a_failure(result: Exception | None, code: str) -> None:
    client = HttpClient(CONFIG, ENDPOINT, {})
    client._source = Source(result)  # type: ignore[assignment]

    failure = client.perform(FetchCredentials(Deadline(5)))

    assert isinstance(failure, Failure)
    assert failure.code == code
    client.close()
