"""Counts the models of an OpenAPI document by the rules of OpenAlchemy 2.2.0 (``open_alchemy.helpers.schema``).

A schema is a model if it has ``x-tablename`` or ``x-inherits``, directly, in a referenced schema or in a part of its
``allOf``. A schema that is only a reference within the document is no model. ``allOf`` with one part is treated as that
part. References to other documents are not followed: their schemas are treated as missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from .yaml_json import DocumentError

MAX_STEPS: Final = 1_000_000
"""The maximum number of visited schemas: with chains of references it grows with the square of the schemas."""

_REFERENCE: Final = re.compile(r"#/components/schemas/(\w+)\n?")
_PREFIXES: Final = ("x-", "x-open-alchemy-")


class _MalformedError(Exception):
    """A schema, ``$ref`` or ``allOf`` has a wrong type, or a reference occurs twice in one search."""


class _NotFoundError(Exception):
    """The schema of a reference does not exist."""


def count_models(schemas: Mapping[str, Any]) -> int:
    """Returns the number of models among the schemas of ``components.schemas``.

    Raises:
        DocumentError: Following the references takes more than ``MAX_STEPS`` steps.
    """
    lookup = _Lookup(schemas)
    return sum(_is_model(schema, lookup) for schema in schemas.values())


def _is_model(schema: Any, lookup: _Lookup) -> bool:
    schema = _unwrap(schema)
    try:
        has_table = lookup.find(schema, "tablename") is not None
    except (_MalformedError, _NotFoundError):
        return False
    try:
        inherits = lookup.find(schema, "inherits")
    except (_MalformedError, _NotFoundError) as error:
        return isinstance(error, _MalformedError)
    return has_table or (inherits is not None and inherits is not False)


def _unwrap(schema: Any) -> dict[str, Any]:
    """Replaces each ``allOf`` that has one part by that part; returns an empty schema if it cannot be a model."""
    while isinstance(schema, dict):
        reference = schema.get("$ref")
        if reference is not None and (not isinstance(reference, str) or reference.startswith("#")):
            break
        parts = schema.get("allOf")
        if parts is None or (isinstance(parts, list) and len(parts) > 1):
            return schema
        schema = parts[0] if isinstance(parts, list) and parts else None
    return {}


class _Lookup:
    """Finds extension properties through references and ``allOf``, with a step limit for the whole document."""

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self._schemas = schemas
        self._steps = 0

    def find(self, schema: Any, name: str) -> object:
        """Returns the value of an extension property, or None; searches depth first, in the order of ``allOf``."""
        followed = set[str]()
        pending = [schema]
        while pending:
            self._steps += 1
            if self._steps > MAX_STEPS:
                raise DocumentError(f"following the references of the schemas takes more than {MAX_STEPS} steps")
            current = pending.pop()
            if not isinstance(current, dict):
                raise _MalformedError
            value = next((found for key in _PREFIXES if (found := current.get(key + name)) is not None), None)
            if value is not None:
                return value
            reference, parts = current.get("$ref"), current.get("allOf")
            if reference is not None:
                # As in OpenAlchemy, the same reference in two parts of an allOf is an error.
                if not isinstance(reference, str) or reference in followed:
                    raise _MalformedError
                followed.add(reference)
                pending.append(self._resolve(reference))
            elif parts is not None:
                if not isinstance(parts, list):
                    raise _MalformedError
                pending.extend(reversed(parts))
        return None

    def _resolve(self, reference: str) -> object:
        if not reference.startswith("#") and reference.count("#") != 1:
            raise _MalformedError
        match = _REFERENCE.fullmatch(reference)
        schema = self._schemas.get(match[1]) if match else None
        if schema is None:
            raise _NotFoundError
        return schema
