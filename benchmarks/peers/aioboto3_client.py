"""aioboto3's client, with the requests that the package sends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from .examples import GET_CREDENTIALS, GET_SPEC, LISTS, POOL, QUERY_USER, REGION, create_requests, query_latest

DISTRIBUTIONS = ("aioboto3", "aiobotocore")


async def open_cases(url: str) -> Mapping[str, Callable[[], Any]]:
    """Returns the cases."""
    import aioboto3
    from botocore.config import Config

    client: Any = await (
        aioboto3.Session()
        .client("dynamodb", endpoint_url=url, region_name=REGION, config=Config(max_pool_connections=POOL))
        .__aenter__()
    )

    async def get_user() -> None:
        await client.query(**QUERY_USER)
        await client.get_item(**GET_CREDENTIALS)

    return {
        "get_spec": partial(client.get_item, **GET_SPEC),
        "create_update_spec": partial(client.transact_write_items, **create_requests()),
        **{case: partial(client.query, **query_latest(sub)) for case, (sub, _) in LISTS.items()},
        "get_user": get_user,
    }
