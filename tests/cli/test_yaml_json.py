"""Untrusted documents: each is parsed or raises DocumentError, within the limits of size, depth and nodes."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from open_alchemy.package_database.cli import openapi, yaml_json
from open_alchemy.package_database.cli.commands import commands
from open_alchemy.package_database.cli.model_count import count_models
from open_alchemy.package_database.cli.yaml_json import DocumentError, parse_json, parse_yaml

HEAD = "openapi: 3.1.0\ninfo: {title: a, version: '1'}\n"
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def levels(first: str, each: str) -> str:
    """Returns a mapping in which each value has aliases of the previous value."""
    lines = [f"a: &a {first}"]
    lines += [f"{name}: &{name} {each.replace('BEFORE', before)}" for before, name in pairwise(LETTERS)]
    return "\n".join(lines)


BOMBS = {
    "aliases": (levels("[x, x]", "[*BEFORE, *BEFORE]"), "expands to more than"),
    "allOf": (HEAD + levels("{x: 1}", "{allOf: [*BEFORE, *BEFORE]}"), "expands to more than"),
    "merge keys": (levels("{x: 1}", "{<<: [*BEFORE, *BEFORE]}"), "expands to more than"),
    "self-reference": ("&a [*a]", "contains itself"),
    "self-reference in allOf": (HEAD + "components: {schemas: {A: &a {allOf: [*a, *a]}}}", "contains itself"),
    "self-reference in a merge key": ("&a {<<: *a}", "contains itself"),
    "mutual merge keys": ("a: &a {<<: &b {<<: *a}}", "contains itself"),
    "undefined alias": ("*a", "the alias 'a' is not defined"),
    "flow nesting": ("[" * 100_000, "nested deeper than"),
    "block nesting": ("- " * 100_000, "nested deeper than"),
    "key nesting": ("? " * 100_000, "nested deeper than"),
    "Python tag": ("!!python/object/apply:os.system [echo]", "the tag 'tag:yaml.org,2002:python/object/apply"),
    "unknown tag": ("a: !x 1", "the tag '!x' is not supported"),
    "long tag": (f"!{'x' * 1000} a", "xxx... is not supported"),
    "list as key": ("? [a]\n: 1", "a key must be a scalar"),
    "merge of text": ("<<: a\nb: c", "a merge key needs a mapping"),
    "two documents": ("a\n--- b", "more than one document"),
    "control character": ("a: \x1b[2J", "control characters are not allowed"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_hostile_document_is_refused(name: str) -> None:
    text, message = BOMBS[name]

    with pytest.raises(DocumentError, match=message.replace("[", r"\[")) as caught:
        parse_yaml(text)

    assert len(str(caught.value)) < 500


def test_a_document_with_too_many_nodes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_json, "MAX_NODES", 1_000)

    assert len(parse_yaml("- a\n" * 999)) == 999  # type: ignore[arg-type]
    with pytest.raises(DocumentError, match="expands to more than 1000 nodes"):
        parse_yaml("- a\n" * 1_000)


def test_a_long_chain_of_references_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("open_alchemy.package_database.cli.model_count.MAX_STEPS", 10_000)
    schemas = {f"A{number}": {"allOf": [{}, {"$ref": f"#/components/schemas/A{number + 1}"}]} for number in range(300)}

    with pytest.raises(DocumentError, match="takes more than"):
        count_models(schemas)


def test_a_file_larger_than_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b" " * (yaml_json.MAX_BYTES + 1))

    with pytest.raises(DocumentError, match="it is larger than"):
        openapi.read(path)


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null", "/"])
def test_a_device_or_a_folder_is_refused(name: str) -> None:
    with pytest.raises(DocumentError):
        openapi.read(Path(name))


def test_a_message_contains_no_control_characters_of_the_document() -> None:
    result = CliRunner().invoke(
        commands, ["publish", "-", "--sub", "u", "--dry-run"], input='"\\e]0;x\\a": 1\n"\\e]0;x\\a": 2\n\u200ba: 1'
    )

    assert result.exit_code == 2
    assert all(char.isprintable() or char == "\n" for char in result.output)


@pytest.mark.parametrize(
    "text",
    [
        "a: &x {k: 1, l: 2}\nb: {<<: *x, l: 3}",
        "a: &x {k: 1}\nb: &y {k: 2, l: 2}\nc: {<<: [*x, *y], m: 1}",
        "a: &x {k: 1}\nb: &y {k: 2, l: 2}\nc: {<<: *x, <<: *y}",
        "[yes, No, on, ~, null, '', ! 1, !!str 1, 'null', \"true\"]",
        "a: |\n  text\n  more\nb: >\n  folded\n  text",
        "- &a x\n- *a",
        "",
        "%YAML 1.1\n---\na: b\n...\n",
    ],
)
def test_a_document_has_the_value_that_pyyaml_reads(text: str) -> None:
    assert parse_yaml(text) == yaml.load(text, _TextLoader)  # noqa: S506 (a SafeLoader)


def test_numbers_and_dates_stay_text() -> None:
    assert parse_yaml("[1.10, 2024-01-01, 0x10, 1_000]") == ["1.10", "2024-01-01", "0x10", "1_000"]


def test_keys_of_different_types_are_different() -> None:
    assert len(parse_yaml("{1: a, '1': b}")) == 2  # type: ignore[arg-type]


values = st.recursive(
    st.none() | st.booleans() | st.text() | st.integers() | st.floats(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=8,
)


@given(values.filter(lambda value: "\\ud" not in json.dumps(value)))
def test_yaml_reads_what_pyyaml_writes(value: Any) -> None:
    text = yaml.safe_dump(value, allow_unicode=True)

    def as_text(found: Any) -> Any:
        if isinstance(found, list):
            return [as_text(entry) for entry in found]
        if isinstance(found, dict):
            return {key: as_text(entry) for key, entry in found.items()}
        return found if found is None or isinstance(found, bool) else str(found)

    assert as_text(parse_yaml(text)) == as_text(yaml.load(text, _TextLoader))  # noqa: S506 (a SafeLoader)


class _TextLoader(yaml.SafeLoader):
    """Reads numbers and dates as text."""


_TextLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] in ("null", "bool", "merge")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@pytest.mark.parametrize("parse", [parse_yaml, parse_json])
@given(text=st.text(alphabet="ab:-[]{}&*!|>?<'\",#%@~ \n\t1\u00e9\x1b"))
def test_any_text_is_parsed_or_raises_a_document_error(parse: Callable[[str], object], text: str) -> None:
    with suppress(DocumentError):
        parse(text)


@given(st.binary())
def test_any_bytes_are_published_or_refused_in_a_message(content: bytes) -> None:
    result = CliRunner().invoke(commands, ["publish", "-", "--sub", "u", "--dry-run"], input=content)

    assert result.exit_code in (0, 2)
    assert all(char.isprintable() or char == "\n" for char in result.output)


documents = st.fixed_dictionaries(
    {},
    optional={
        "openapi": st.sampled_from(["3.1.0", "2.0", 3.1, None, {}]),
        "info": values
        | st.fixed_dictionaries({}, optional={"title": values, "version": values, "description": values}),
        "components": values | st.fixed_dictionaries({"schemas": values}),
    },
)


@given(documents)
def test_any_structure_is_published_or_refused_in_a_message(document: object) -> None:
    result = CliRunner().invoke(commands, ["publish", "-", "--sub", "u", "--dry-run"], input=json.dumps(document))

    assert result.exit_code in (0, 2), result.output
    assert all(char.isprintable() or char == "\n" for char in result.output)
