"""The app, synthesized once for all tests. Without the AWS CDK the tests are not collected, except in CI."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

from tests.infrastructure.synthesis import Synthesis, Template, synthesize

collect_ignore_glob = ["test_*.py"] if find_spec("aws_cdk") is None and not os.environ.get("CI") else []


@pytest.fixture(scope="session")
def synthesis(tmp_path_factory: pytest.TempPathFactory) -> Synthesis:
    return synthesize(tmp_path_factory.mktemp("cdk"))


@pytest.fixture(scope="session")
def template(synthesis: Synthesis) -> Template:
    assert synthesis.file.exists(), synthesis.output
    return synthesis.template
