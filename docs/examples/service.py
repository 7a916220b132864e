"""A web service with FastAPI that returns the latest version of a spec.

PACKAGE_DATABASE_URL=sqlite:///specs.db uvicorn --app-dir docs/examples service:app
"""

from fastapi import FastAPI, HTTPException

from open_alchemy import package_database
from open_alchemy.package_database import NotFoundError, UnavailableError, ValidationError

app = FastAPI()
database = package_database.get_async()


@app.get("/{sub}/specs/{name}/version")
async def version(sub: str, name: str) -> str:
    """Returns the latest version of a spec."""
    try:
        return await database.get_latest_spec_version(sub=sub, name=name)
    except NotFoundError as error:
        raise HTTPException(404, str(error)) from error
    except ValidationError as error:
        raise HTTPException(422, str(error)) from error
    except UnavailableError as error:
        raise HTTPException(503, "the database is unavailable") from error
