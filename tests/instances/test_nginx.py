"""The nginx configuration of docs/instances.md, in front of the Flask example."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from open_alchemy import package_database
from open_alchemy.package_database.testing.local_instances import LocalInstances
from tests.instances.servers import load, request, run_waitress

NGINX = shutil.which("nginx") or ("/usr/sbin/nginx" if Path("/usr/sbin/nginx").exists() else "")
PAGE = Path(__file__).parents[2] / "docs/instances.md"
MAIN = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {servers}
}}
"""

pytestmark = pytest.mark.skipif(not NGINX, reason="nginx is not installed")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def proxy(tmp_path: Path, _instances: LocalInstances) -> Iterator[int]:
    """The port of nginx in front of a service with a default instance."""
    _instances.write("main", "example-com", "example.org", default="main")
    with run_waitress(load("flask_service")) as service:
        port = free_port()
        found = re.search(r"^```nginx\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
        assert found is not None
        servers = (
            found[1]
            .replace("listen 80;", f"listen 127.0.0.1:{port};")
            .replace("127.0.0.1:8080", f"127.0.0.1:{service}")
        )
        configuration = tmp_path / "nginx.conf"
        configuration.write_text(MAIN.format(folder=tmp_path, servers=servers))
        command = [NGINX, "-p", str(tmp_path), "-e", str(tmp_path / "error.log"), "-c", str(configuration)]
        nginx = subprocess.Popen(command)
        try:
            while not is_open(port):
                assert nginx.poll() is None, (tmp_path / "error.log").read_text()
                time.sleep(0.01)
            yield port
        finally:
            nginx.terminate()
            nginx.wait()


def test_the_proxy_names_the_instance_and_drops_the_header_of_the_client(proxy: int) -> None:
    hosts = {"example.com": "example-com", "shop.example.com": "example-com", "example.org": "example.org"}

    answers = {
        host: request(proxy, f"/specs/u1/{host}", {"Host": host, "InstanceId": "main"}, "PUT").body.strip()
        for host in hosts
    }
    lower = request(proxy, "/specs/u1", {"Host": "example.org", "instanceid": "main"}).body
    unknown = request(proxy, "/specs/u1", {"Host": "other.example", "InstanceId": "main"})

    assert answers == {host: f'{{"instance":"{name}"}}' for host, name in hosts.items()}
    assert "example.org" in lower
    assert unknown.status == 404
    with package_database.instance("main"):
        assert package_database.get().list_specs(sub="u1") == []
    with package_database.instance("example-com"):
        assert [spec["name"] for spec in package_database.get().list_specs(sub="u1")] == [
            "example.com",
            "shop.example.com",
        ]
