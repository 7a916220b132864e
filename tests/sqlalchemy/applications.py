"""The same application with Pyramid and with Flask: notes that are added, listed and logically deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import flask
import transaction
from pyramid.config import Configurator
from pyramid.request import Request
from sqlalchemy import select

from open_alchemy.package_database import instance_id
from open_alchemy.package_database.instances import InstanceMiddleware
from open_alchemy.package_database.sqlalchemy import get_session, get_table, use_transaction_manager

WSGI = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class NoteQuery:
    """The queries on notes, of the instance that the request names."""

    def __init__(self) -> None:
        self.table = get_table("notes")

    def texts(self) -> list[str]:
        """Returns the texts of the notes that are not deleted."""
        columns = self.table.c
        statement = select(columns.text).order_by(columns.id).where(columns.deleted.is_(None))
        return [row.text for row in get_session().execute(statement)]

    def add(self, text: str) -> None:
        """Adds a note."""
        get_session().execute(self.table.insert(), {"text": text})

    def delete(self, text: str) -> None:
        """Marks notes as deleted."""
        statement = self.table.update().where(self.table.c.text == text)
        get_session().execute(statement, {"deleted": datetime.now(UTC).replace(tzinfo=None)})


def handle(method: str, text: str) -> dict[str, Any]:
    """Performs a request; the text ``fail`` raises an error after its note was added."""
    query = NoteQuery()
    if method == "POST":
        query.add(text)
    elif method == "DELETE":
        query.delete(text)
    if text == "fail":
        raise RuntimeError("the request fails")
    return {"instance": instance_id(), "texts": query.texts()}


def pyramid_application(settings: dict[str, str]) -> WSGI:
    """Returns the application with Pyramid; ``pyramid_tm`` commits or aborts the transaction of each request."""
    config = Configurator(settings=settings)
    config.include("pyramid_tm")
    config.add_route("notes", "/notes")

    def notes(request: Request) -> dict[str, Any]:
        with use_transaction_manager(request.tm):
            return handle(request.method, request.params.get("text", ""))

    def failed(error: Exception, request: Request) -> dict[str, Any]:
        request.response.status_int = 500
        return {"error": str(error)}

    config.add_view(notes, route_name="notes", renderer="json")
    config.add_exception_view(failed, renderer="json")
    application: WSGI = InstanceMiddleware(config.make_wsgi_app())
    return application


def flask_application() -> WSGI:
    """Returns the application with Flask."""
    app = flask.Flask(__name__)

    @app.route("/notes", methods=["GET", "POST", "DELETE"])
    def notes() -> dict[str, Any]:
        with transaction.manager:
            return handle(flask.request.method, flask.request.args.get("text", ""))

    app.wsgi_app = InstanceMiddleware(app.wsgi_app)  # type: ignore[method-assign]
    return app
