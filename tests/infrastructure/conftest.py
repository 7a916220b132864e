"""The app, synthesized once for all tests."""

from __future__ import annotations

import pytest

from tests.infrastructure.synthesis import Synthesis, Template, synthesize


@pytest.fixture(scope="session")
def synthesis(tmp_path_factory: pytest.TempPathFactory) -> Synthesis:
    return synthesize(tmp_path_factory.mktemp("cdk"))


@pytest.fixture(scope="session")
def template(synthesis: Synthesis) -> Template:
    assert synthesis.file.exists(), synthesis.said
    return synthesis.template
