"""Middlewares that select the instance which a request names: for WSGI, and for ASGI. They import no framework.

The front-end proxy sets the header ``InstanceId``. A request with a wrong header is answered with status 400.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Final, TypeAlias

from ..exceptions import NotFoundError
from .api import directory
from .file_format import ID_RULE, is_id
from .selection import select_only

Environ: TypeAlias = dict[str, Any]
StartResponse: TypeAlias = Callable[..., Any]
WSGIApplication: TypeAlias = Callable[[Environ, StartResponse], Iterable[bytes]]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApplication: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

Selecting: TypeAlias = Callable[[], AbstractContextManager[None]]
"""Selects the instance of a request; may be called several times."""

_POLICY_VIOLATION: Final = 1008


class _BadRequestError(Exception):
    """The header is wrong. The message is sent to the client, and contains no part of the request."""

    @property
    def body(self) -> bytes:
        return f"{self}\n".encode()


class InstanceMiddleware:
    """Selects the instance of a WSGI request, also while the server iterates over the body and closes it.

    Args:
        app: The WSGI application.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answers a request."""
        header = environ.get("HTTP_INSTANCEID")
        try:
            selecting = _choose([] if header is None else [header])
        except _BadRequestError as error:
            start_response("400 Bad Request", [(name, value) for name, value in _headers(error)])
            return [error.body]
        with selecting():
            body = self._app(environ, start_response)
        return _Body(body, selecting)


class _Body:
    """The body of a response, which may run code of the application when it is iterated or closed."""

    def __init__(self, body: Iterable[bytes], selecting: Selecting) -> None:
        self._body = body
        self._selecting = selecting
        self._parts: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with self._selecting():
            if self._parts is None:
                self._parts = iter(self._body)
            return next(self._parts)

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        if close is not None:
            with self._selecting():
                close()


class AsyncInstanceMiddleware:
    """Selects the instance of an ASGI request or websocket.

    Args:
        app: The ASGI application.
    """

    def __init__(self, app: ASGIApplication) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or serves a websocket."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            selecting = _choose([value.decode("latin-1") for name, value in scope["headers"] if _is_header(name)])
        except _BadRequestError as error:
            await (_refuse if scope["type"] == "http" else _refuse_websocket)(scope, receive, send, error)
            return
        with selecting():
            await self._app(scope, receive, send)


def _choose(values: list[str]) -> Selecting:
    """Returns the selection of a request with these values of the header; raises ``_BadRequestError``."""
    instances = directory()
    if not values:
        if not instances.has_ids():
            return nullcontext
        default = instances.default_id()
        if default is None:
            raise _BadRequestError("the header InstanceId is missing")
        return partial(select_only, default)
    if len(values) > 1 or "," in values[0]:
        raise _BadRequestError("the header InstanceId is repeated")
    if not is_id(values[0]):
        raise _BadRequestError(f"the header InstanceId must be {ID_RULE}")
    try:
        instances.get(values[0])
    except NotFoundError:
        raise _BadRequestError("the header InstanceId names no instance") from None
    return partial(select_only, values[0])


def _is_header(name: bytes) -> bool:
    return name.lower() == b"instanceid"


def _headers(error: _BadRequestError) -> list[tuple[str, str]]:
    return [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(error.body)))]


async def _refuse(scope: Scope, receive: Receive, send: Send, error: _BadRequestError, prefix: str = "") -> None:
    del scope, receive
    headers = [(name.lower().encode(), value.encode()) for name, value in _headers(error)]
    await send({"type": f"{prefix}http.response.start", "status": 400, "headers": headers})
    await send({"type": f"{prefix}http.response.body", "body": error.body})


async def _refuse_websocket(scope: Scope, receive: Receive, send: Send, error: _BadRequestError) -> None:
    """Refuses the handshake: with status 400 where the server supports it, or else 403.

    https://asgi.readthedocs.io/en/latest/extensions.html#websocket-denial-response
    """
    await receive()
    if "websocket.http.response" in (scope.get("extensions") or ()):
        await _refuse(scope, receive, send, error, prefix="websocket.")
    else:
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
