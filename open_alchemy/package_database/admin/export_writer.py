"""Writing an export, so that one that is interrupted goes on where it was.

The items are written to ``FILE.part`` as they come: its last whole line says where the next page begins. When all are
there, their count and checksum are known, and ``FILE`` is made of them and appears whole.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from ..core.operations import Page, Scan
from ..core.secret import Secret
from ..exceptions import ValidationError
from ..model.schema import TABLES
from ..model.stored_items import Entry, check_stored
from . import private_files
from .export_format import Header, decode_entry, encode_entry, encode_header, encode_title

PAGE_ITEMS: Final = 100
"""Items of a page: 40 MB where each is as large as it may be."""

_COMPLETE: Final = b'{"complete":true}\n'
"""The last line of a part that an export was made of."""


def pages(read: Callable[[Scan], Page], sub: str | None, last: Entry | None) -> Iterator[Sequence[Entry]]:
    """Yields all items of the tables, or a user's, a page at a time.

    Args:
        read: Reads a page.
        sub: Whose items; None for all.
        last: The last item that is known already; None to begin.
    """
    begun = TABLES.index(last.table) if last else 0
    for table in TABLES[begun:]:
        after = last.key if last and table is last.table else None
        while True:
            page = read(Scan(table, PAGE_ITEMS, after, sub))
            yield [Entry(table, item) for item in page.items]
            after = page.after
            if after is None:
                break


class Part:
    """The beginning of an export, in a file of its own.

    Attributes:
        written: When it was last written before it was opened, in seconds since the epoch.
        items: How many items it holds.
        last: The last of them.
        is_resumable: Whether an export can go on after them.
    """

    def __init__(self, file: BinaryIO, path: Path, sub: str | None, identity: str | None) -> None:
        self._file = file
        self._path = path
        self._sub = sub
        self._title = encode_title(sub, identity)
        self.is_resumable = identity is not None
        self.written = os.fstat(file.fileno()).st_mtime
        self._begin()

    def resume(self) -> None:
        """Reads what is there, and takes off a last line that was not written whole.

        Where it cannot be told whether what is there is of the same tables, or where it became an export already, it is
        begun anew.

        Raises:
            ValidationError: It is the beginning of another export, or damaged.
        """
        title = self._file.read(len(self._title))
        # A title that was cut short is a beginning of it; anything else is another export's, or somebody's file.
        if not self._title.startswith(title):
            raise ValidationError(
                f"{self._path} is the beginning of another export, or none: finish that, or delete the file"
            )
        end = self._file.tell() if title == self._title and self.is_resumable else 0
        for line in map(Secret, self._file if end else ()):
            if line == _COMPLETE:
                end = len(self._title)
                self._begin()
            if line == _COMPLETE or not line.endswith(b"\n"):
                break
            self._count(line, self._decode(line))
            end += len(line)
        self._file.seek(end)
        self._file.truncate()
        if not end:
            self._file.write(self._title)

    def add(self, entries: Sequence[Entry]) -> None:
        """Writes a page.

        Raises:
            RefusedError: An item is invalid and could not be imported again.
        """
        for entry in entries:
            check_stored(entry)
            line = encode_entry(entry)
            self._file.write(line)
            self._count(line, entry)
        self._file.flush()

    def finish(self, path: Path) -> None:
        """Makes the export of what is there, in gzip where its name ends so, and deletes the part."""
        new = path.with_name(f"{path.name}.new")
        new.unlink(missing_ok=True)
        self._file.flush()
        self._file.seek(len(self._title))
        with private_files.create(new) as file:
            header = encode_header(Header(self._sub, self.items, self._digest.hexdigest()))
            if path.suffix == ".gz":
                with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as zipped:
                    zipped.write(header)
                    shutil.copyfileobj(self._file, zipped)
            else:
                file.write(header)
                shutil.copyfileobj(self._file, file)
            private_files.save(file)
        # After a crash before it is deleted, nothing must go on after what an export holds already.
        self.is_resumable = False
        self._file.write(_COMPLETE)
        private_files.save(self._file)
        new.replace(path)
        private_files.save_folder(path)
        self._file.close()
        self._path.unlink()

    def _begin(self) -> None:
        self._digest = hashlib.sha256()
        self.items = 0
        self.last: Entry | None = None

    def _decode(self, line: bytes) -> Entry:
        try:
            return decode_entry(line, self._sub)
        except ValidationError as error:
            place = f"{self._path}, line {self.items + 2}"
            raise ValidationError(f"{place}: {error}: delete the file, and export anew") from None

    def _count(self, line: bytes, entry: Entry) -> None:
        self._digest.update(line)
        self.items += 1
        self.last = entry


@contextmanager
def open_part(path: Path, sub: str | None, identity: str | None, *, replace: bool) -> Iterator[Part]:
    """Opens the part of an export while the context is open, begun anew or as it was left.

    Args:
        path: Where the export will be.
        sub: Whose items; None for all.
        identity: Which tables the items are of; None where that cannot be told, so that it is begun anew.
        replace: Whether an export that is there may be replaced.

    Raises:
        ValidationError: The export is there already, or the part is of another export or damaged, or cannot be written.
        OSError: The disk is full, or fails.
    """
    if path.exists() and not replace:
        raise ValidationError(f"{path} is there already: --force replaces it")
    part_path = path.with_name(f"{path.name}.part")
    try:
        file = private_files.reopen(part_path) if part_path.exists() else private_files.create(part_path)
    except OSError as error:
        raise ValidationError(f"{part_path} cannot be written: {error.strerror}") from error
    with private_files.closed(file):
        part = Part(file, part_path, sub, identity)
        part.resume()
        yield part
