"""The examples of the documentation, in processes of their own, through a broker in another process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from open_alchemy.package_database import connect

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples" / "broker"
FOLLOW = """
import asyncio, sys
from open_alchemy import package_database
import search_index

async def main():
    versions = {"unread": ""}
    following = asyncio.ensure_future(search_index.follow("user 1", versions))
    for expected in ({}, {"a": "1"}, {"a": "2"}, {}):
        while versions != expected and not following.done():
            await asyncio.sleep(0.01)
        print(len(versions), flush=True)
        await asyncio.to_thread(sys.stdin.readline)
    following.cancel()

asyncio.run(main())
"""


def environment(url: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("STAGE", "PACKAGE_DATABASE_"))}
    return {**kept, "PYTHONPATH": str(ROOT), "PACKAGE_DATABASE_URL": url}


@contextmanager
def client(url: str, program: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-W", "error", "-c", program]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=EXAMPLES, env=environment(url), text=True, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The URL of a broker that exposes the functions of the example."""
    command = [sys.executable, "-m", "open_alchemy.package_database.cli", "broker", "--expose", "queries"]
    command += ["--url", "sqlite://", "--listen", "tcp://127.0.0.1:*"]
    with subprocess.Popen(command, cwd=EXAMPLES, env=environment(""), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"broker://{process.stdout.readline().split()[-1].removeprefix('tcp://')}"
            process.terminate()
            assert process.wait(60) == 0
        finally:
            process.kill()


def test_the_example_of_the_readme_runs_in_two_processes_behind_a_broker(url: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"^```python\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    assert found is not None
    program = found[1].replace("sqlite:///specs.db", url)
    with client(url, program) as first, client(url, program) as second:
        for process in (first, second):
            out, _ = process.communicate(timeout=60)
            assert (out, process.returncode) == ("1.0\n", 0)


def test_two_processes_call_the_functions_of_the_example(url: str) -> None:
    publish = "import queries; print(queries.publish_all('user 2', ['a', 'b'], version='1'))"
    read = "import asyncio, queries; print(asyncio.run(queries.newest_models('user 2', limit=2)))"
    for program, expected in ((publish, "2\n"), (read, "['b', 'a']\n")):
        with client(url, program) as process:
            out, _ = process.communicate(timeout=60)
            assert (out.replace("['a', 'b']", "['b', 'a']"), process.returncode) == (expected, 0)


def test_a_process_follows_what_another_one_writes(url: str) -> None:
    with client(url, FOLLOW) as process, connect(url) as database:
        database.delete_all(sub="user 1")

        def proceed() -> str:
            assert process.stdin is not None
            assert process.stdout is not None
            line = process.stdout.readline()
            process.stdin.write("\n")
            process.stdin.flush()
            return line

        assert proceed() == "0\n"
        database.create_update_spec(sub="user 1", name="a", version="1", model_count=1)
        assert proceed() == "1\n"
        database.create_update_spec(sub="user 1", name="a", version="2", model_count=1)
        assert proceed() == "1\n"
        database.delete_all(sub="user 1")
        assert proceed() == "0\n"
        assert process.wait(60) == 0
