"""A client with a cache as a process: reads all keys and writes its own, and logs each call as a line of JSON.

    python -m tests.broker.cache_client URL LOG OWN FIRST KEYS SEED

A line is ``[kind, key, number, start, end]`` (see ``staleness.Call``) by a clock that all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from open_alchemy import package_database
from open_alchemy.package_database import BaseError
from open_alchemy.package_database.engines.broker.cache_clock import boot_time
from tests.broker.quick import divide_durations

if TYPE_CHECKING:
    from open_alchemy.package_database.engines.broker.read_cache import ReadCache

SUB = "u"
PAUSE = 0.02
WRITES = 0.05


def count_hits(database: Any) -> int:
    """Returns how many reads were from memory."""
    cache: ReadCache | None = database.engine.cache
    return 0 if cache is None else cache.info().hits


async def _main(url: str, path: str, own: int, number: int, keys: int, random: Random) -> None:
    with Path(path).open("a", buffering=1, encoding="utf-8") as log:  # noqa: ASYNC230 (a line is short)
        async with package_database.aconnect(url) as database:
            while True:
                await asyncio.sleep(PAUSE * random.random() * 2)
                hits, start = count_hits(database), boot_time()
                try:
                    if random.random() < WRITES:
                        number += 1
                        kind, key, found = "write", own, number
                        await database.create_update_spec(
                            sub=SUB, name=f"s{own}", version=str(number), model_count=number
                        )
                    else:
                        key = random.randrange(keys)
                        info = await database.get_spec(sub=SUB, name=f"s{key}")
                        kind, found = (
                            "hit" if count_hits(database) > hits else "read",
                            info["model_count"] if info else 0,
                        )
                except BaseError:
                    continue
                log.write(json.dumps([kind, key, found, start, boot_time()]) + "\n")


if __name__ == "__main__":
    divide_durations()
    _url, _log, *_numbers = sys.argv[1:]
    _own, _first, _keys, _seed = map(int, _numbers)
    asyncio.run(_main(_url, _log, _own, _first, _keys, Random(_seed)))  # noqa: S311
