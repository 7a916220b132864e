"""A virtual environment for each peer, made once and kept."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

from .loopback import CHECKOUT


@dataclass(frozen=True, slots=True)
class Environment:
    """What is installed together.

    Attributes:
        name: The name of its folder.
        requirements: What pip is asked for; the path of the checkout, with extras or none, is this package.
    """

    name: str
    requirements: tuple[str, ...]


PACKAGE = Environment("package", (str(CHECKOUT),))
PACKAGE_TEST = Environment("package-test", (f"{CHECKOUT}[test]",))
BOTO3 = Environment("boto3", ("boto3",))
VERSION_4 = Environment("version4", ("open-alchemy.package-database==4.0.1", "pynamodb<6"))
AIODYNAMO = Environment("aiodynamo", ("aiodynamo", "aiohttp"))
AIOBOTO3 = Environment("aioboto3", ("aioboto3",))


def python_of(environment: Environment, folder: Path) -> Path:
    """Returns the interpreter of an environment, which is made, or brought up to date, where that is needed."""
    home = folder / environment.name
    python = home / "bin" / "python"
    stamp, wanted = home / "installed", _stamp(environment)
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        print(f"installing {environment.name}", file=sys.stderr, flush=True)
        venv.create(home, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *environment.requirements], check=True, stdout=sys.stderr)
        stamp.write_text(wanted, encoding="utf-8")
    return python


def _stamp(environment: Environment) -> str:
    """Returns a text that changes when the environment must be made anew."""
    digest = hashlib.sha256(sys.version.encode())
    for requirement in environment.requirements:
        digest.update(requirement.encode())
    if any(requirement.startswith(str(CHECKOUT)) for requirement in environment.requirements):
        for path in (CHECKOUT / "pyproject.toml", *sorted((CHECKOUT / "open_alchemy").rglob("*.py"))):
            digest.update(str(path.relative_to(CHECKOUT)).encode() + path.read_bytes())
    return digest.hexdigest()
