"""A FastAPI service for many instances. Run it with: uvicorn fastapi_service:app."""

from fastapi import FastAPI

from open_alchemy import package_database
from open_alchemy.package_database.instances import AsyncInstanceMiddleware

app = FastAPI()
app.add_middleware(AsyncInstanceMiddleware)


@app.put("/specs/{sub}/{name}")
async def publish(sub: str, name: str) -> dict[str, str | None]:
    """Stores a spec in the database of the request's instance."""
    await package_database.get_async().create_update_spec(sub=sub, name=name, version="1", model_count=1)
    return {"instance": package_database.instance_id()}


@app.get("/specs/{sub}")
async def specs(sub: str) -> list[str]:
    """Lists the specs of a user."""
    return [spec["name"] for spec in await package_database.get_async().list_specs(sub=sub)]
