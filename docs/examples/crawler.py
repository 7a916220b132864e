"""Publishes 20 versions concurrently with asyncio, and prints the number of specs and models.

STAGE=TEST python docs/examples/crawler.py
"""

import asyncio

from open_alchemy import package_database

SUB = "crawler"

database = package_database.get_async()


async def main() -> None:
    """Publishes a version of each of 20 specs concurrently."""
    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(
                database.create_update_spec(sub=SUB, name=f"Spec {number}", version="1.0", model_count=number)
            )
    models = await database.count_customer_models(sub=SUB)
    print(f"{len(await database.list_specs(sub=SUB))} specs with {models} models")  # noqa: T201
    await database.delete_all(sub=SUB)


if __name__ == "__main__":
    asyncio.run(main())
