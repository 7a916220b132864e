"""The number of models equals the number that OpenAlchemy 2.2.0 computes.

``openalchemy_models.json`` has schemas with the names of the models that OpenAlchemy finds. The tests marked long
compare those, and generated schemas, with the library itself, which is installed into a folder of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_alchemy.package_database.cli.model_count import count_models

VECTORS = Path(__file__).with_name("openalchemy_models.json")
NEIGHBOURS = Path(os.environ.get("NEIGHBOURS", Path(sys.prefix) / "neighbours"))
REQUIREMENTS = (
    *("OpenAlchemy==2.2.0", "SQLAlchemy", "Jinja2", "MarkupSafe", "jsonschema", "attrs", "pyrsistent", "six"),
    *("setuptools", "greenlet", "typing_extensions"),
)

Models = Callable[[dict[str, Any]], list[str]]

OPENALCHEMY = """
import json, sys
import markupsafe
markupsafe.soft_unicode = markupsafe.soft_str  # Its name before 2.1, for Jinja2 2.11.
from open_alchemy.helpers import ref
from open_alchemy.schemas.helpers import iterate
ref.set_context(path="/nowhere/spec.yaml")
for line in sys.stdin:
    print(json.dumps([name for name, _ in iterate.constructable(schemas=json.loads(line))]), flush=True)
"""


@pytest.fixture(scope="session")
def openalchemy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    """The names of the models that OpenAlchemy finds in schemas."""
    if not NEIGHBOURS.is_dir():
        pytest.skip(f"OpenAlchemy is not in {NEIGHBOURS}: run scripts/install")
    folder = tmp_path_factory.mktemp("openalchemy")
    install = ("install", "--quiet", "--no-index", f"--find-links={NEIGHBOURS}", "--no-deps", "--target", str(folder))
    subprocess.run([sys.executable, "-m", "pip", *install, *REQUIREMENTS], check=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "PYTHON"))}
    with subprocess.Popen(
        # -S excludes the site-packages of this environment.
        [sys.executable, "-S", "-W", "ignore", "-c", OPENALCHEMY],
        env={**environment, "PYTHONPATH": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as library:
        assert library.stdin is not None
        assert library.stdout is not None
        source, answers = library.stdin, library.stdout

        def models(schemas: dict[str, Any]) -> list[str]:
            source.write(json.dumps(schemas) + "\n")
            source.flush()
            found: list[str] = json.loads(answers.readline())
            return found

        try:
            yield models
        finally:
            library.kill()


def vectors() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(VECTORS.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("vector", vectors(), ids=lambda vector: vector["name"])
def test_models_are_counted_as_recorded(vector: dict[str, Any]) -> None:
    assert count_models(vector["schemas"]) == len(vector["models"])


@pytest.mark.long
def test_the_recorded_models_are_those_of_openalchemy(openalchemy: Models) -> None:
    recorded = vectors()

    assert [vector["models"] for vector in recorded] == [openalchemy(vector["schemas"]) for vector in recorded]


NAMES = ("A", "B", "C")
references: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(f"#/components/schemas/{name}" for name in (*NAMES, "Missing", "A.B", "A\n")),
        "#/definitions/A",
        "#",
        "other.yaml#/A",
        "other.yaml",
        "a#b#c",
        1,
        {},
        None,
    ]
)
others: st.SearchStrategy[Any] = st.sampled_from([None, True, False, 0, 1, "", "a", 1.5, [], {}])
KEYS = ("x-tablename", "x-inherits", "x-open-alchemy-tablename", "x-open-alchemy-inherits")


def objects(schemas: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = dict.fromkeys(KEYS, others) | {"$ref": references, "type": st.just("object")}
    return st.fixed_dictionaries({}, optional=keys | {"allOf": st.lists(schemas, max_size=3) | others}) | others


schema = st.recursive(others, objects, max_leaves=6)


@pytest.mark.long
@given(schemas=st.dictionaries(st.sampled_from(NAMES), schema))
def test_generated_schemas_have_the_models_of_openalchemy(openalchemy: Models, schemas: dict[str, Any]) -> None:
    assert count_models(schemas) == len(openalchemy(schemas))
