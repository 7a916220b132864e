"""Reading an OpenAPI document: what of it is published."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

_MODEL_KEYS: Final = ("x-tablename", "x-inherits")
_VERSIONS: Final = "3."
_AS_WRITTEN: Final = ("float", "int", "timestamp")


class DocumentError(Exception):
    """The file is no OpenAPI document, or lacks what is published."""


@dataclass(frozen=True, slots=True)
class Document:
    """What is published of an OpenAPI document."""

    title: str
    version: str
    description: str | None
    model_count: int


class _Loader(yaml.SafeLoader):
    """Leaves numbers and dates as they are written, so that the version 1.10 does not become 1.1."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] not in _AS_WRITTEN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(path: Path) -> Document:
    """Reads an OpenAPI 3 document in JSON, where the file's name ends so, or else in YAML.

    Raises:
        DocumentError: The file cannot be read, or is no OpenAPI 3 document with a title and a version.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix.lower() == ".json" else yaml.load(text, _Loader)  # noqa: S506 (a SafeLoader)
    except OSError as error:
        raise DocumentError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise DocumentError(f"{path} is neither YAML nor JSON: {reason}") from error
    try:
        return _to_document(content)
    except DocumentError as error:
        raise DocumentError(f"{path} is no OpenAPI document: {error}") from None


def _to_document(content: object) -> Document:
    document = _mapping(content, "the document")
    if not str(document.get("openapi", "")).startswith(_VERSIONS):
        raise DocumentError("the key openapi must be a version such as 3.1.0")
    info = _mapping(document.get("info"), "info")
    title, version = (_text(info.get(key), f"info.{key}") for key in ("title", "version"))
    description = info.get("description")
    if description is not None:
        description = _text(description, "info.description")
    components = _mapping(document.get("components") or {}, "components")
    schemas = _mapping(components.get("schemas") or {}, "components.schemas")
    return Document(title, version, description, sum(map(_is_model, schemas.values())))


def _is_model(schema: object) -> bool:
    """Returns whether OpenAlchemy makes a model of a schema: it says so itself or in a part of its allOf."""
    return any(part.get(key) not in (None, False) for part in _parts(schema) for key in _MODEL_KEYS)


def _parts(schema: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(schema, Mapping):
        yield schema
        all_of = schema.get("allOf")
        for part in all_of if isinstance(all_of, list) else ():
            yield from _parts(part)


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise DocumentError(f"{name} must be a mapping")
    return value


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise DocumentError(f"{name} must be text")
    return value
