"""Packages that are installed in jobs with a token, or that build the release, are pinned by hash."""

from __future__ import annotations

import re
import tomllib

import pytest

from delivery.project import ROOT

FOLDER = ROOT / "delivery" / "requirements"
LOCKS = sorted(path.name for path in FOLDER.glob("*.txt"))

# From requirements/runtime.txt of pypa/gh-action-pypi-publish at the commit that the workflow pins. Update both: an
# uploader with other versions may refuse a file that scripts/build accepts, as v1.13.0 refused Metadata-Version 2.5.
UPLOADER = "pypa/gh-action-pypi-publish@dc37677b2e1c63e2034f94d8a5b11f265b73ba33"
UPLOADER_VERSIONS = {"packaging": "26.2", "twine": "7.0.0"}


def pinned(name: str) -> dict[str, str]:
    text = (FOLDER / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w.-]+)==([\w.]+)", text, re.MULTILINE))


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_has_a_version_and_hashes(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8").replace("\\\n", "")

    requirements = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]

    assert len(requirements) == len(pinned(name)) > 0
    assert all(re.match(r"[\w.-]+==.+ --hash=sha256:[0-9a-f]{64}", line) for line in requirements)


def test_the_build_is_checked_with_the_versions_of_the_uploader() -> None:
    workflow = (ROOT / ".github" / "workflows" / "ci-cd-database.yaml").read_text(encoding="utf-8")

    uploaders = set(re.findall(r"uses: (pypa/gh-action-pypi-publish@\S+)", workflow))

    assert uploaders == {UPLOADER}
    assert pinned("build.txt").items() >= UPLOADER_VERSIONS.items()


def test_the_build_has_the_build_backend() -> None:
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]

    assert {re.split("[>=]", requirement)[0] for requirement in requires} <= set(pinned("build.txt"))


def test_the_production_test_has_every_dependency_of_the_package() -> None:
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]

    assert {re.split("[>=]", requirement)[0] for requirement in dependencies} <= set(pinned("production-test.txt"))
