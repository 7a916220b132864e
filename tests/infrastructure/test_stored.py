"""A change of the template is reviewed before it is deployed, and a loss of data needs an explicit option."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.infrastructure import __main__, stored
from tests.infrastructure.synthesis import Synthesis, Template

SPECS, CREDENTIALS = "SpecsTable26CE7812", "CredentialsTableD9D3F717"

REPLACED = "differs from the deployed one: CloudFormation would replace the table by an empty one"
DELETED = "differs from the deployed one: CloudFormation would delete it, and its readers would fail"
GONE = "is missing: CloudFormation would abandon the table with its data, and create an empty one"


def test_the_stack_loses_no_data(template: Template) -> None:
    losses = stored.losses(stored.read(), template)

    assert not losses, "\n".join(losses)


def test_the_template_is_the_stored_one(template: Template) -> None:
    difference = stored.difference(stored.read(), template)

    assert not difference, f"review the difference, and store it with {stored.COMMAND}:\n{difference}"


def set_in(resource: str, *path: str | int, to: object) -> Callable[[Template], None]:
    def damage(template: Template) -> None:
        place: Any = template["Resources"][resource]["Properties"]
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = to

    return damage


def rename(template: Template) -> None:
    template["Resources"]["Other"] = template["Resources"].pop(SPECS)


@pytest.mark.parametrize(
    ("damage", "loss"),
    [
        (set_in(SPECS, "TableName", to="specs"), f"package.specs: TableName {REPLACED}"),
        (set_in(SPECS, "KeySchema", 1, "AttributeName", to="id_updated_at"), f"package.specs: KeySchema {REPLACED}"),
        (
            set_in(SPECS, "LocalSecondaryIndexes", 0, "IndexName", to="byId"),
            f"package.specs: LocalSecondaryIndexes {REPLACED}",
        ),
        (
            set_in(CREDENTIALS, "AttributeDefinitions", 1, "AttributeType", to="B"),
            f"package.credentials: AttributeDefinitions of id {REPLACED}",
        ),
        (
            set_in(CREDENTIALS, "GlobalSecondaryIndexes", 0, "IndexName", to="key"),
            f"package.credentials: the index publicKey {DELETED}",
        ),
        (rename, f"package.specs: the resource {SPECS} {GONE}"),
    ],
    ids=["table name", "key", "local index", "attribute type", "global index", "logical id"],
)
def test_a_loss_of_data_is_reported(damage: Callable[[Template], None], loss: str) -> None:
    changed = deepcopy(stored.read())

    damage(changed)

    assert stored.losses(stored.read(), changed) == [loss]


def test_any_other_change_is_shown() -> None:
    changed = deepcopy(stored.read())

    set_in(SPECS, "DeletionProtectionEnabled", to=False)(changed)

    assert stored.losses(stored.read(), changed) == []
    assert '-    "DeletionProtectionEnabled": true,' in stored.difference(stored.read(), changed)
    assert '+    "DeletionProtectionEnabled": false,' in stored.difference(stored.read(), changed)


@pytest.mark.parametrize(
    ("damage", "arguments", "exit_code", "kept"),
    [
        (rename, [], 1, "stored.json"),
        (rename, ["--losing-the-data"], 0, "synthesized.json"),
        (set_in(SPECS, "DeletionProtectionEnabled", to=False), [], 0, "synthesized.json"),
    ],
    ids=["a loss", "a loss with the option", "another change"],
)
def test_a_loss_is_stored_only_with_the_option(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    damage: Callable[[Template], None],
    arguments: list[str],
    exit_code: int,
    kept: str,
) -> None:
    changed = deepcopy(stored.read())
    damage(changed)
    (tmp_path / "synthesized.json").write_text(stored.text(changed), encoding="utf-8")
    (tmp_path / "stored.json").write_text(stored.text(stored.read()), encoding="utf-8")
    expected = (tmp_path / kept).read_text(encoding="utf-8")
    monkeypatch.setattr(stored, "FILE", tmp_path / "stored.json")
    monkeypatch.setattr(__main__, "synthesize", lambda _: Synthesis(0, "", tmp_path / "synthesized.json"))

    assert __main__.main(arguments) == exit_code

    assert stored.FILE.read_text(encoding="utf-8") == expected


def test_a_failed_synthesis_stores_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(__main__, "synthesize", lambda _: Synthesis(1, "no Node", stored.FILE))

    assert __main__.main([]) == 1

    assert "no Node" in capsys.readouterr().err
