"""The metadata is accepted by the uploader, links the project's pages, and names only tested versions of Python."""

from __future__ import annotations

import re
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

REPOSITORY = "https://github.com/open-alchemy/OpenAlchemyPackage"


@pytest.fixture(scope="session")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def test_the_uploader_accepts_the_version_of_the_metadata(metadata: Message) -> None:
    assert metadata["Metadata-Version"] == "2.4"


def test_the_sdist_has_the_same_version_of_the_metadata_and_all_documents(dist: Path) -> None:
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        (info,) = (member for member in archive.getmembers() if member.name.endswith("/PKG-INFO"))
        content = archive.extractfile(info)
        assert content is not None
        text = content.read().decode()

    assert text.startswith("Metadata-Version: 2.4\n")
    assert {"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md", "mkdocs.yml"} <= names


def test_every_link_of_the_description_is_absolute(metadata: Message) -> None:
    description = str(metadata.get_payload())

    links = re.findall(r"\]\(([^)\s]+)\)", description)
    assert len(links) > 5
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    assert f"{REPOSITORY}/blob/v{metadata['Version']}/docs/operating.md" in links


def test_the_project_has_all_urls(metadata: Message) -> None:
    urls = dict(url.split(", ") for url in metadata.get_all("Project-URL", []))

    assert urls.keys() == {"Homepage", "Documentation", "Source", "Issues", "Changelog"}
    assert urls["Source"] == REPOSITORY


def test_a_version_of_python_is_named_only_after_it_ran(metadata: Message) -> None:
    named = [each for each in metadata.get_all("Classifier", []) if re.search(r":: 3\.\d+$", each)]

    assert [each.rpartition(" ")[2] for each in named] == ["3.11", "3.12", "3.13"]


def test_the_extra_test_installs_together_with_openalchemy(metadata: Message) -> None:
    """Moto's extra server requires jsonschema 4, OpenAlchemy 2.2.0 requires jsonschema 3 and Jinja2 2.11."""
    requirements = [Requirement(each) for each in metadata.get_all("Requires-Dist", [])]
    test = {each.name: each for each in requirements if each.marker and each.marker.evaluate({"extra": "test"})}

    assert test.keys() == {"factory-boy", "moto", "pytest"}
    assert test["moto"].extras == {"dynamodb"}
