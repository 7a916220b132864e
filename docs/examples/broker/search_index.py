"""Keeps an index of the specs of a user up to date."""

from open_alchemy import package_database
from open_alchemy.package_database import Missed


async def follow(sub: str, versions: dict[str, str]) -> None:
    """Updates the newest version of each spec, by the id of the spec, until the task is cancelled."""
    database = package_database.get_async()
    async for event in package_database.changes(sub):
        if isinstance(event, Missed):
            # The first event, and whenever changes may be missing: read everything again.
            specs = await database.list_specs(sub=sub)
            versions.clear()
            versions.update((spec["id"], spec["version"]) for spec in specs)
            continue
        prefix, _, id_ = event.key.get("updated_at_id", "").partition("#")
        if prefix == "latest":
            spec = await database.get_spec(sub=sub, name=id_)
            if spec is None:
                versions.pop(id_, None)
            else:
                versions[id_] = spec["version"]
