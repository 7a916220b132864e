"""Websockets under uvicorn: each works on the instance of its handshake until it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from fastapi import FastAPI, WebSocket
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from open_alchemy import package_database
from open_alchemy.package_database.instances import AsyncInstanceMiddleware
from open_alchemy.package_database.testing.local_instances import LocalInstances
from tests.instances.servers import run_uvicorn

app = FastAPI()
app.add_middleware(AsyncInstanceMiddleware)


@app.websocket("/publish")
async def publish(websocket: WebSocket) -> None:
    """Stores a spec for each message, and returns the specs of the instance."""
    await websocket.accept()
    async for name in websocket.iter_text():
        database = package_database.get_async()
        await database.create_update_spec(sub="u1", name=name, version="1", model_count=1)
        await websocket.send_json([spec["name"] for spec in await database.list_specs(sub="u1")])


@pytest.fixture
def port(_instances: LocalInstances) -> Iterator[int]:
    """The port of the service."""
    with run_uvicorn(app) as port:
        yield port


def opened(port: int, *names: str) -> ClientConnection:
    """Opens a websocket with the header for each name."""
    headers = [("InstanceId", name) for name in names]
    return connect(f"ws://127.0.0.1:{port}/publish", additional_headers=headers, proxy=None)


def test_websockets_that_interleave_stay_on_their_instances(port: int) -> None:
    chosen = ["one", "two"] * 4
    answers = []
    with ExitStack() as stack:
        websockets = [stack.enter_context(opened(port, name)) for name in chosen]
        for step in range(2):
            for number, websocket in enumerate(websockets):
                websocket.send(f"{chosen[number]}-{number}-{step}")
            answers = [str(websocket.recv()) for websocket in websockets]

    for name, answer in zip(chosen, answers, strict=True):
        assert f'"{name}-' in answer
        assert f'"{"two" if name == "one" else "one"}-' not in answer
    for name in ("one", "two"):
        with package_database.instance(name):
            assert len(package_database.get().list_specs(sub="u1")) == len(chosen)


@pytest.mark.parametrize("names", [(), ("",), ("three",), ("one", "one")])
def test_a_handshake_with_a_wrong_header_is_refused(port: int, names: tuple[str, ...]) -> None:
    with pytest.raises(InvalidStatus) as refused:
        opened(port, *names)

    assert refused.value.response.status_code == 400
    assert refused.value.response.body.startswith(b"the header InstanceId ")
