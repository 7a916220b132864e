"""Verifies a CDK cloud assembly before it is deployed with AWS credentials.

    python -m delivery.assembly FOLDER

A job without credentials synthesizes the assembly with packages that are not locked. An asset may contain a command
that ``cdk deploy`` executes, and a template may change any resource that the deploy role may change. So an assembly is
accepted only if it contains nothing but the stack, and if its template equals the reviewed template.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from .project import ROOT

STACK: Final = "PackageDatabase"
REVIEWED_TEMPLATE: Final = ROOT / "tests" / "infrastructure" / "template.json"

_TEMPLATE: Final = f"{STACK}.template.json"
_STACK_ARTIFACT: Final = "aws:cloudformation:stack"
_INERT_ARTIFACTS: Final = {"cdk:tree", "cdk:feature-flag-report"}
_ASSET_METADATA: Final = "aws:cdk:asset"


def problems(folder: Path, reviewed: Path = REVIEWED_TEMPLATE) -> Iterator[str]:
    """Yields the reasons not to deploy an assembly."""
    artifacts: dict[str, Any] = _load(folder / "manifest.json")["artifacts"]
    for name, artifact in artifacts.items():
        if artifact["type"] == _STACK_ARTIFACT:
            if (name, artifact["properties"]["templateFile"]) != (STACK, _TEMPLATE):
                yield f"{name}: expected only the stack {STACK}"
            elif not artifact["properties"].get("terminationProtection"):
                yield f"{name}: expected termination protection"
        elif artifact["type"] not in _INERT_ARTIFACTS:
            yield f"{name}: unexpected artifact of the type {artifact['type']}"
    for path in folder.glob("*.json"):
        if _ASSET_METADATA in path.read_text(encoding="utf-8"):
            yield f"{path.name}: unexpected asset"
    template = folder / _TEMPLATE
    if not template.exists() or _load(template) != _load(reviewed):
        yield f"{_TEMPLATE}: differs from the reviewed template {reviewed.name}"


def _load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def main(arguments: Sequence[str]) -> int:
    """Prints the problems of an assembly, and returns the exit code."""
    found = list(problems(Path(arguments[0])))
    for problem in found:
        print(problem, file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
