"""A package index on the loopback interface, whose pages a test defines."""

from __future__ import annotations

import json
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO


class _Handler(BaseHTTPRequestHandler):
    server: SimpleIndex

    def do_GET(self) -> None:
        self.server.requests.append((self.path, self.headers.get("Accept", "")))
        status, body = self.server.pages.get(self.path, (404, b"not found"))
        self.send_response(status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body) + self.server.held_back))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Logs nothing."""


class SimpleIndex(ThreadingHTTPServer):
    """The simple API (PEP 503, PEP 691): a project's page lists its files, or in JSON its versions.

    Attributes:
        pages: Status and body of each path; any other is 404.
        requests: Path and ``Accept`` of each request.
        held_back: By how many bytes ``Content-Length`` exceeds the body.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages: dict[str, tuple[int, bytes]] = {}
        self.requests: list[tuple[str, str]] = []
        self.held_back = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/simple/"

    def answer(self, name: str, body: bytes, *, status: int = 200) -> None:
        self.pages[f"/simple/{name}/"] = (status, body)

    def list_versions(self, name: str, versions: Sequence[str], *, yanked: bool = False) -> None:
        files = [{"filename": f"{name}-{version}.tar.gz", "yanked": yanked} for version in versions]
        page = {"meta": {"api-version": "1.1"}, "name": name, "versions": versions, "files": files}
        self.answer(name, json.dumps(page).encode())

    def publish(self, name: str, version: str, modules: Mapping[str, str], *, requires: Sequence[str] = ()) -> str:
        """Adds a wheel, and returns its SHA-256."""
        filename = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        wheel = _wheel(name, version, modules, requires)
        self.pages[f"/files/{filename}"] = (200, wheel)
        self.answer(name, f'<!DOCTYPE html><a href="/files/{filename}">{filename}</a>'.encode())
        return sha256(wheel).hexdigest()


def _wheel(name: str, version: str, modules: Mapping[str, str], requires: Sequence[str]) -> bytes:
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    metadata += [f"Requires-Dist: {requirement}" for requirement in requires]
    content = BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path, source in modules.items():
            archive.writestr(path, source)
        archive.writestr(f"{info}/METADATA", "\n".join(metadata) + "\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return content.getvalue()


@contextmanager
def serve() -> Iterator[SimpleIndex]:
    with SimpleIndex() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
