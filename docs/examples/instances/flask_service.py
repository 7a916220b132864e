"""A Flask service for many instances. Run it with: waitress-serve --listen=127.0.0.1:8080 flask_service:app."""

from flask import Flask

from open_alchemy import package_database
from open_alchemy.package_database.instances import InstanceMiddleware

app = Flask(__name__)
app.wsgi_app = InstanceMiddleware(app.wsgi_app)  # type: ignore[method-assign]


@app.put("/specs/<sub>/<name>")
def publish(sub: str, name: str) -> dict[str, str | None]:
    """Stores a spec in the database of the request's instance."""
    package_database.get().create_update_spec(sub=sub, name=name, version="1", model_count=1)
    return {"instance": package_database.instance_id()}


@app.get("/specs/<sub>")
def specs(sub: str) -> list[str]:
    """Lists the specs of a user."""
    return [spec["name"] for spec in package_database.get().list_specs(sub=sub)]
