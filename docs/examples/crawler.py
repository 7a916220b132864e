"""Publishes many versions at once with asyncio, and prints what is there then.

STAGE=TEST python docs/examples/crawler.py
"""

import asyncio

from open_alchemy import package_database

SUB = "crawler"

connected = package_database.get_async()


async def main() -> None:
    """Publishes a version of each of 20 specs, side by side."""
    async with connected as database:
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
