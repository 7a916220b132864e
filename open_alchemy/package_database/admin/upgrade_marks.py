"""Which credentials an upgrade has rewritten: marks in a file, so that none is rewritten twice.

A mark is on the disk before its item is rewritten, and holds the digests of the item before and after: whatever the
upgrade was stopped at, the item itself says whether it was done.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

from ..core.operations import Item
from ..exceptions import ValidationError
from ..model.schema import CREDENTIALS
from . import private_files

_FORMAT: Final = "open-alchemy.package-database marks of the upgrade from 4"


@dataclass(frozen=True, slots=True)
class Mark:
    """The digests of an item before it is rewritten, and after."""

    before: bytes
    after: bytes


def digest(item: Item) -> bytes:
    """Returns the SHA-256 of the attributes that the schema knows, each with its length in front."""
    known = hashlib.sha256()
    for attribute in CREDENTIALS.attributes:
        value = item[attribute.name]
        content = value if isinstance(value, bytes) else str(value).encode()
        known.update(len(content).to_bytes(8, "big") + content)
    return known.digest()


class Marks:
    """The marks of one table, in a file.

    Args:
        path: The file.
        identity: Which table the marks are of.

    Raises:
        ValidationError: The file cannot be read, or holds something else; the message names it.
    """

    def __init__(self, path: Path, identity: str) -> None:
        self._path = path
        self._title = _line({"format": _FORMAT, "table": identity})
        self._marks: dict[bytes, Mark] = {}
        self._end = 0
        self._file: BinaryIO | None = None
        if path.exists():
            self._read()

    def get(self, item: Item) -> Mark | None:
        """Returns the last mark of an item."""
        return self._marks.get(_key(item))

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Keeps the file open for more marks; takes off a last line that was not written whole.

        Raises:
            ValidationError: It cannot be written.
            OSError: The disk is full, or fails.
        """
        try:
            self._file = private_files.reopen(self._path) if self._path.exists() else private_files.create(self._path)
        except OSError as error:
            raise ValidationError(f"{self._path} cannot be written: {error.strerror}") from error
        with private_files.closed(self._file) as file:
            file.seek(self._end)
            file.truncate()
            if not self._end:
                file.write(self._title)
            yield

    def add(self, pairs: Iterable[tuple[Item, Item]]) -> None:
        """Marks items, each with what it will be; returns when the marks are on the disk."""
        assert self._file is not None, "opened"
        for before, after in pairs:
            mark = Mark(digest(before), digest(after))
            self._marks[_key(before)] = mark
            fields = {**CREDENTIALS.key_of(before), "before": mark.before.hex(), "after": mark.after.hex()}
            self._file.write(_line(fields))
        private_files.save(self._file)

    def _read(self) -> None:
        try:
            content = self._path.read_bytes()
        except OSError as error:
            raise ValidationError(f"{self._path} cannot be read: {error.strerror}") from error
        # A title that was cut short is a beginning of it; anything else is somebody's file.
        if not (content.startswith(self._title) or self._title.startswith(content)):
            raise ValidationError(f"{self._path} holds no marks of this upgrade of this table")
        for number, line in enumerate(BytesIO(content)):
            if not line.endswith(b"\n"):
                break
            if number > 0:
                self._read_mark(line, number + 1)
            self._end += len(line)

    def _read_mark(self, line: bytes, number: int) -> None:
        try:
            fields = json.loads(line)
            mark = Mark(bytes.fromhex(fields["before"]), bytes.fromhex(fields["after"]))
            self._marks[_key(fields)] = mark
        except (ValueError, TypeError, KeyError):
            raise ValidationError(f"{self._path}, line {number}: it is no mark: the file is damaged") from None


def _key(item: Item) -> bytes:
    """Returns what stands for the key of an item, of the same small size for all."""
    return hashlib.sha256(_line(dict(CREDENTIALS.key_of(item)))).digest()[:16]


def _line(fields: dict[str, str]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
