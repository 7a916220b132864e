"""A second, empty database on the DynamoDB server of the test run: in another region than the tests' own tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import boto3

from open_alchemy.package_database.engines.dynamodb.config import DUMMY_CREDENTIALS

REGION: Final = "eu-north-1"


def client_of(url: str) -> Any:
    """Returns boto3's client of the region."""
    return boto3.client(
        "dynamodb",
        region_name=REGION,
        endpoint_url=url,
        aws_access_key_id=DUMMY_CREDENTIALS.access_key_id,
        aws_secret_access_key=DUMMY_CREDENTIALS.secret_access_key,
    )


@contextmanager
def emptied(url: str) -> Iterator[None]:
    """Deletes all tables of the region at the end."""
    try:
        yield
    finally:
        client = client_of(url)
        for name in client.list_tables()["TableNames"]:
            client.update_table(TableName=name, DeletionProtectionEnabled=False)
            client.delete_table(TableName=name)
