"""Reads the attributes of a spec from an OpenAPI document."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from .model_count import count_models
from .yaml_json import MAX_BYTES, DocumentError, parse_json, parse_yaml

STDIN: Final = Path("-")
_VERSIONS: Final = "3."


@dataclass(frozen=True, slots=True)
class Document:
    """The attributes of a spec that an OpenAPI document contains."""

    title: str
    version: str
    description: str | None
    model_count: int


def read(path: Path) -> Document:
    """Reads an OpenAPI 3 document: JSON if the name ends in .json, otherwise YAML. ``-`` is standard input.

    Raises:
        DocumentError: The file cannot be read, or is not an OpenAPI 3 document with a title and a version.
    """
    name = "standard input" if path == STDIN else str(path)
    try:
        text = _read_text(path)
        content = parse_json(text) if path.suffix.lower() == ".json" else _parse(text)
    except DocumentError as error:
        raise DocumentError(f"{name} is neither YAML nor JSON: {error}") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DocumentError(f"{name} cannot be read: {reason}") from error
    try:
        return _to_document(content)
    except DocumentError as error:
        raise DocumentError(f"{name} is not an OpenAPI document: {error}") from None


def _parse(text: str) -> object:
    """Parses YAML or JSON. Tries JSON first, because libyaml refuses its escaped surrogate pairs."""
    if text.lstrip().startswith("{"):
        with suppress(DocumentError):
            return parse_json(text)
    return parse_yaml(text)


def _read_text(path: Path) -> str:
    if path == STDIN:
        return _decode(sys.stdin.buffer)
    with path.open("rb") as file:
        return _decode(file)


def _decode(file: BinaryIO) -> str:
    content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES // 1024**2} MiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8") from None


def _to_document(content: object) -> Document:
    document = _mapping(content, "the document")
    version = document.get("openapi")
    if not str(version if isinstance(version, str | float) else "").startswith(_VERSIONS):
        raise DocumentError("the key openapi must be a version such as 3.1.0")
    info = _mapping(document.get("info"), "info")
    title, version = (_text(info.get(key), f"info.{key}") for key in ("title", "version"))
    description = info.get("description")
    if description is not None:
        description = _text(description, "info.description")
    components = _mapping(document.get("components") or {}, "components")
    schemas = _mapping(components.get("schemas") or {}, "components.schemas")
    return Document(title, version, description, count_models(schemas))


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise DocumentError(f"{name} must be a mapping")
    return value


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise DocumentError(f"{name} must be text")
    return value
