"""A Pyramid service for many instances. Run it with: waitress-serve --listen=127.0.0.1:8080 pyramid_service:app."""

from pyramid.config import Configurator
from pyramid.request import Request

from open_alchemy import package_database
from open_alchemy.package_database.instances import InstanceMiddleware


def publish(request: Request) -> dict[str, str | None]:
    """Stores a spec in the database of the request's instance."""
    package_database.get().create_update_spec(**request.matchdict, version="1", model_count=1)
    return {"instance": package_database.instance_id()}


def specs(request: Request) -> list[str]:
    """Lists the specs of a user."""
    return [spec["name"] for spec in package_database.get().list_specs(**request.matchdict)]


with Configurator() as config:
    config.add_route("publish", "/specs/{sub}/{name}")
    config.add_view(publish, route_name="publish", request_method="PUT", renderer="json")
    config.add_route("specs", "/specs/{sub}")
    config.add_view(specs, route_name="specs", request_method="GET", renderer="json")

app = InstanceMiddleware(config.make_wsgi_app())
