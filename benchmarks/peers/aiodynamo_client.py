"""aiodynamo's client on aiohttp, with the requests that the package sends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from .examples import ACCESS_KEY, CREDENTIALS, LISTS, NAME, POOL, PUBLIC_KEY, REGION, SPECS, SUB, spec_item

DISTRIBUTIONS = ("aiodynamo", "aiohttp")


async def open_cases(url: str) -> Mapping[str, Callable[[], Any]]:
    """Returns the cases."""
    import aiohttp
    from aiodynamo.client import Client
    from aiodynamo.credentials import Key, StaticCredentials
    from aiodynamo.expressions import F, HashAndRangeKeyCondition, HashKey, RangeKey
    from aiodynamo.http.aiohttp import AIOHTTP
    from aiodynamo.operations import Put
    from yarl import URL

    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=POOL))
    client = Client(AIOHTTP(session), StaticCredentials(Key(ACCESS_KEY, ACCESS_KEY)), REGION, endpoint=URL(url))

    def latest_of(sub: str) -> HashAndRangeKeyCondition:
        return HashKey("sub", sub) & RangeKey("updated_at_id").begins_with("latest#")

    def plain(moment: str) -> dict[str, Any]:
        return {name: int(value["N"]) if "N" in value else value["S"] for name, value in spec_item(0, moment).items()}

    async def create_update_spec() -> None:
        condition = F("sub").does_not_exist() | F("version").equals("2.0")
        await client.transact_write_items(
            [
                Put(table=SPECS, item=plain("00000000001700000000"), condition=condition),
                Put(table=SPECS, item=plain("latest"), condition=condition),
            ],
            request_token="0" * 32,
        )

    async def get_user() -> None:
        await client.query_single_page(CREDENTIALS, HashKey("public_key", PUBLIC_KEY), index="publicKey")
        await client.get_item(CREDENTIALS, {"sub": SUB, "id": "laptop"}, consistent_read=True)

    key = {"sub": SUB, "updated_at_id": f"latest#{NAME}"}
    return {
        "get_spec": partial(client.get_item, SPECS, key, consistent_read=True),
        "create_update_spec": create_update_spec,
        **{
            case: partial(client.query_single_page, SPECS, latest_of(sub), consistent_read=True)
            for case, (sub, _) in LISTS.items()
        },
        "get_user": get_user,
    }
