"""Parses YAML and JSON from untrusted files: returns a value or raises ``DocumentError``, within fixed limits.

Values are built from parser events without recursion. The nodes of an alias are counted again for each use, so a
document that expands to too many nodes is refused before it is expanded. Tags never construct Python objects.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

_HAS_LIBYAML: Final = hasattr(yaml, "CSafeLoader")
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# The parser in Python is about 20 times slower than libyaml.
MAX_BYTES: Final = (4 if _HAS_LIBYAML else 1) * 1024 * 1024
MAX_NODES: Final = 500_000 if _HAS_LIBYAML else 125_000
MAX_DEPTH: Final = 200

_TAG: Final = "tag:yaml.org,2002:"
_TEXT: Final = f"{_TAG}str"
_NULL: Final = f"{_TAG}null"
_BOOL: Final = f"{_TAG}bool"
_MERGE: Final = f"{_TAG}merge"
_SCALARS: Final = {_TAG + name for name in ("str", "null", "bool", "int", "float", "timestamp", "binary", "value")}
_SEQUENCES: Final = {None, "!", f"{_TAG}seq"}
_MAPPINGS: Final = {None, "!", f"{_TAG}map"}
_SNIPPET_COLUMNS: Final = 72
_SHOWN_CHARACTERS: Final = 60
_LINE_BREAK: Final = re.compile("\r\n|[\r\n\x85\u2028\u2029]")


class DocumentError(Exception):
    """The file cannot be read, or is not a document that can be published."""


def parse_json(text: str) -> object:
    """Returns the value of a JSON text.

    Raises:
        DocumentError: It is not JSON, or an object has a key twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique_keys)
    except json.JSONDecodeError as error:
        raise DocumentError(_locate(text, error.lineno - 1, error.colno - 1, error.msg)) from None
    except (ValueError, RecursionError) as error:
        raise DocumentError(str(error)) from None


def parse_yaml(text: str) -> object:
    """Returns the value of a YAML document. Numbers and dates stay text, so that the version 1.10 is not 1.1.

    Raises:
        DocumentError: It is not YAML, has a key twice, an unknown tag or more nodes than ``MAX_NODES``, or is nested
            deeper than ``MAX_DEPTH``.
    """
    builder = _Builder()
    try:
        for event in yaml.parse(text, _LOADER):
            builder.add(event)
    except _StructureError as error:
        raise DocumentError(_locate(text, error.mark.line, error.mark.column, str(error))) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or "syntax error"
        raise DocumentError(_locate(text, mark.line, mark.column, problem) if mark else problem) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DocumentError(str(error).partition("\n")[0]) from None
    return builder.root


class _StructureError(Exception):
    def __init__(self, message: str, event: Any) -> None:
        super().__init__(message)
        self.mark = event.start_mark


@dataclass(slots=True)
class _Collection:
    """A sequence or mapping whose end event has not been read yet.

    Attributes:
        value: Its entries so far.
        anchor: Its anchor, if it has one.
        nodes_before: The number of nodes before it, to compute its own.
        key: The key whose value follows, in a list, because None is a key too; empty if a key follows.
        merged: The values of its merge keys.
    """

    value: list[Any] | dict[Any, Any]
    anchor: str | None
    nodes_before: int
    key: list[Any] = field(default_factory=list)
    merged: list[Any] = field(default_factory=list)


class _Builder:
    """Builds a value from events. After the last event, ``root`` is the value."""

    def __init__(self) -> None:
        self.root: object = None
        self._open: list[_Collection] = []
        self._anchors: dict[str, tuple[object, int] | None] = {}
        self._documents = 0
        self._nodes = 0

    def add(self, event: Any) -> None:
        """Handles the next event."""
        match event:
            case yaml.ScalarEvent():
                self._count(1, event)
                tag, value = _scalar(event)
                if event.anchor:
                    self._anchors[event.anchor] = value, 1
                self._place(value, tag, event)
            case yaml.AliasEvent():
                self._add_alias(event)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                self._begin(event)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self._end(event)
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise _StructureError("the file contains more than one document", event)

    def _count(self, nodes: int, event: Any) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise _StructureError(f"the document expands to more than {MAX_NODES} nodes", event)

    def _add_alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            raise _StructureError(f"the alias {_shorten(event.anchor)} is not defined", event)
        found = self._anchors[event.anchor]
        if found is None:
            raise _StructureError(f"{_shorten(event.anchor)} contains itself", event)
        value, nodes = found
        self._count(nodes, event)
        self._place(value, _TEXT, event)

    def _begin(self, event: Any) -> None:
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        if event.tag not in (_MAPPINGS if is_mapping else _SEQUENCES):
            raise _StructureError(f"the tag {_shorten(event.tag)} is not supported", event)
        if len(self._open) == MAX_DEPTH:
            raise _StructureError(f"the document is nested deeper than {MAX_DEPTH} levels", event)
        self._open.append(_Collection({} if is_mapping else [], event.anchor, self._nodes))
        self._count(1, event)
        if event.anchor:
            self._anchors[event.anchor] = None

    def _end(self, event: Any) -> None:
        done = self._open.pop()
        if done.merged:
            done.value = _merge(done, event)
        if done.anchor:
            self._anchors[done.anchor] = done.value, self._nodes - done.nodes_before
        self._place(done.value, None, event)

    def _place(self, value: Any, tag: str | None, event: Any) -> None:
        """Adds a complete value to the collection that contains it."""
        if not self._open:
            self.root = value
            return
        parent = self._open[-1]
        if isinstance(parent.value, list):
            parent.value.append(value)
        elif not parent.key:
            if isinstance(value, dict | list):
                raise _StructureError("a key must be a scalar", event)
            # 1 and "1" are two keys.
            key = value if tag == _TEXT or tag is None else (tag, value)
            if key in parent.value:
                raise _StructureError(f"the key {_shorten(value)} occurs twice", event)
            parent.key.append(key)
        else:
            key = parent.key.pop()
            if isinstance(key, tuple) and key[0] == _MERGE:
                parent.merged.append(value)
            else:
                parent.value[key] = value


def _scalar(event: Any) -> tuple[str, object]:
    """Returns the tag and the value of a scalar."""
    tag, text = event.tag, event.value
    if tag in (None, "!"):
        tag = _implicit_tag(text) if event.implicit[0] else _TEXT
    elif tag not in _SCALARS:
        raise _StructureError(f"the tag {_shorten(tag)} is not supported", event)
    if tag == _NULL:
        return tag, None
    if tag == _BOOL:
        return tag, yaml.SafeLoader.bool_values.get(text.lower(), text)
    return tag, text


def _implicit_tag(text: str) -> str:
    """Returns the tag of a plain scalar by the rules of YAML 1.1."""
    for tag, pattern in yaml.SafeLoader.yaml_implicit_resolvers.get(text[:1], ()):
        if pattern.match(text):
            return str(tag)
    return _TEXT


def _merge(mapping: _Collection, event: Any) -> dict[Any, Any]:
    """Returns a mapping with its merge keys applied: its own keys first, then earlier mappings before later ones."""
    merged: dict[Any, Any] = {}
    for value in mapping.merged:
        for source in reversed(value) if isinstance(value, list) else (value,):
            if not isinstance(source, dict):
                raise _StructureError("a merge key needs a mapping or a list of mappings", event)
            merged |= source
    assert isinstance(mapping.value, dict)
    return merged | mapping.value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) < len(pairs):
        keys = set[str]()
        twice = next(key for key, _ in pairs if key in keys or keys.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {_shorten(twice)} occurs twice")
    return unique


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def _locate(text: str, line: int, column: int, problem: str) -> str:
    """Returns a message with the line and a caret under the column."""
    lines = _LINE_BREAK.split(text.rstrip())
    if line >= len(lines):
        # An error at the end of the text is shown at the end of the last line.
        line = len(lines) - 1
        column = len(lines[line])
    shown = lines[line]
    start = max(0, column - _SNIPPET_COLUMNS // 2)
    snippet = shown[start : start + _SNIPPET_COLUMNS].replace("\t", " ")
    caret = " " * min(column - start, len(snippet)) + "^"
    return f"line {line + 1}, column {column + 1}: {problem}\n  {snippet}\n  {caret}"
