"""A web service with FastAPI that returns the newest version of a spec.

STAGE=TEST uvicorn --app-dir docs/examples service:app
"""

from fastapi import FastAPI, HTTPException

from open_alchemy import package_database
from open_alchemy.package_database import NotFoundError, UnavailableError

app = FastAPI()
# Its connections are closed when the event loop shuts down. aclose() is final for the process, so no lifespan calls it.
database = package_database.get_async()


@app.get("/{sub}/specs/{name}/version")
async def version(sub: str, name: str) -> str:
    """Returns the newest version of a spec."""
    try:
        return await database.get_latest_spec_version(sub=sub, name=name)
    except NotFoundError as error:
        raise HTTPException(404, str(error)) from error
    except UnavailableError as error:
        raise HTTPException(503, str(error)) from error
