"""Functions of an application that run where the data is."""

from open_alchemy import package_database


@package_database.exposed(repeatable=True)
async def newest_models(sub: str, limit: int = 10) -> list[str]:
    """Returns the names of a user's specs, the one published last first."""
    specs = await package_database.get_async().list_specs(sub=sub)
    specs.sort(key=lambda spec: int(spec["updated_at"]), reverse=True)
    return [spec["name"] for spec in specs[:limit]]


@package_database.exposed
def publish_all(sub: str, names: list[str], version: str) -> int:
    """Publishes a version of several specs in one round trip, and returns how many specs the user has."""
    database = package_database.get()
    for name in names:
        database.create_update_spec(sub=sub, name=name, version=version, model_count=1)
    return len(database.list_specs(sub=sub))
