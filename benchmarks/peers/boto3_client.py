"""boto3's client, with the requests that the package sends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from .examples import GET_CREDENTIALS, GET_SPEC, LISTS, POOL, QUERY_USER, REGION, create_requests, query_latest

DISTRIBUTIONS = ("boto3", "botocore")


def open_cases(url: str) -> Mapping[str, Callable[[], object]]:
    """Returns the cases."""
    import boto3
    from botocore.config import Config

    client: Any = boto3.client(
        "dynamodb", endpoint_url=url, region_name=REGION, config=Config(max_pool_connections=POOL)
    )

    def get_user() -> None:
        client.query(**QUERY_USER)
        client.get_item(**GET_CREDENTIALS)

    return {
        "get_spec": partial(client.get_item, **GET_SPEC),
        "create_update_spec": partial(client.transact_write_items, **create_requests()),
        **{case: partial(client.query, **query_latest(sub)) for case, (sub, _) in LISTS.items()},
        "get_user": get_user,
    }
