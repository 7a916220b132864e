"""Writes an export, and resumes an interrupted one.

Items are appended to ``FILE.part``, whose last complete line is the position in the tables. The header needs the number
and the checksum of all items, so ``FILE`` is written from the part at the end, and replaced atomically.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, BinaryIO, Final

from ..core.operations import Page, Scan
from ..core.secret import Secret
from ..exceptions import ValidationError
from ..model.broker_registry import is_registry
from ..model.export_checks import Entry, check_stored
from ..model.schema import CREDENTIALS, TABLES
from . import private_files
from .export_format import Header, decode_entry, encode_entry, encode_header, encode_title

PAGE_ITEMS: Final = 100
"""Items of a page, which together have at most 40 MB."""

_COMPLETE: Final = b'{"complete":true}\n'
"""The last line of a part whose export is complete."""


def pages(read: Callable[[Scan], Page], sub: str | None, last: Entry | None) -> Iterator[Sequence[Entry]]:
    """Yields all items of the tables, or of one user, in pages; not the registry of the brokers.

    Args:
        read: Reads a page.
        sub: The user; None for all users.
        last: The item after which to continue; None to start at the beginning.
    """
    first_table = TABLES.index(last.table) if last else 0
    for table in TABLES[first_table:]:
        after = last.key if last and table is last.table else None
        while True:
            page = read(Scan(table, PAGE_ITEMS, after, sub))
            yield [Entry(table, item) for item in page.items if not is_registry(table, item)]
            after = page.after
            if after is None:
                break


class ExportBody:
    """The items of an export before its header is known.

    Attributes:
        items: The number of items.
        last: The last item.
        has_secrets: Whether an item is credentials.
    """

    def __init__(self, file: IO[bytes], sub: str | None) -> None:
        self._file = file
        self._sub = sub
        self._start = 0
        self._reset()

    def add(self, entries: Sequence[Entry]) -> None:
        """Appends a page.

        Raises:
            RefusedError: An item is invalid, so an import would refuse it.
        """
        for entry in entries:
            check_stored(entry)
            line = encode_entry(entry)
            self._file.write(line)
            self._count(line, entry)
        self._file.flush()

    def write_export(self, output: Any) -> None:
        """Writes the header and all items to another file."""
        self._file.flush()
        self._file.seek(self._start)
        output.write(encode_header(Header(self._sub, self.items, self._digest.hexdigest())))
        shutil.copyfileobj(self._file, output)

    def _reset(self) -> None:
        self._digest = hashlib.sha256()
        self.items = 0
        self.last: Entry | None = None
        self.has_secrets = False

    def _count(self, line: bytes, entry: Entry) -> None:
        self._digest.update(line)
        self.items += 1
        self.last = entry
        self.has_secrets |= entry.table is CREDENTIALS


class Part(ExportBody):
    """The items of an unfinished export, in the file ``FILE.part``.

    Attributes:
        written: The time of its last write before it was opened, in seconds since the epoch.
        is_resumable: Whether a later export can continue it.
    """

    def __init__(self, file: BinaryIO, path: Path, sub: str | None, identity: str | None) -> None:
        super().__init__(file, sub)
        self._path = path
        self._title = encode_title(sub, identity)
        self._start = len(self._title)
        self.is_resumable = identity is not None
        self.written = os.fstat(file.fileno()).st_mtime

    def resume(self) -> None:
        """Reads the existing lines, and removes an incomplete last line.

        Deletes all lines if the tables cannot be identified, or if the export of this part is complete.

        Raises:
            ValidationError: The file is the part of another export, or damaged.
        """
        title = self._file.read(len(self._title))
        # An interrupted write may leave a prefix of the title. Any other text belongs to another export or program.
        if not self._title.startswith(title):
            raise ValidationError(
                f"{self._path} is not the beginning of this export: finish the other export, or delete the file"
            )
        end = self._file.tell() if title == self._title and self.is_resumable else 0
        for line in map(Secret, self._file if end else ()):
            if line == _COMPLETE:
                end = len(self._title)
                self._reset()
            if line == _COMPLETE or not line.endswith(b"\n"):
                break
            self._count(line, self._decode(line))
            end += len(line)
        self._file.seek(end)
        self._file.truncate()
        if not end:
            self._file.write(self._title)

    def finish(self, path: Path) -> None:
        """Writes the export, compressed with gzip if its name ends in .gz, and deletes the part."""
        new = _new_path(path)
        new.unlink(missing_ok=True)
        with private_files.create(new) as file:
            if path.suffix == ".gz":
                with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as zipped:
                    self.write_export(zipped)
            else:
                self.write_export(file)
            private_files.save(file)
        # If the process ends before the part is deleted, the next export must not resume it.
        self.is_resumable = False
        self._file.write(_COMPLETE)
        self._file.flush()
        os.fsync(self._file.fileno())
        new.replace(path)
        private_files.save_folder(path)
        self.delete()

    def delete(self) -> None:
        """Deletes the file."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _decode(self, line: bytes) -> Entry:
        try:
            return decode_entry(line, self._sub)
        except ValidationError as error:
            position = f"{self._path}, line {self.items + 2}"
            raise ValidationError(f"{position}: {error}: delete the file, and export again") from None


@contextmanager
def open_part(path: Path, sub: str | None, identity: str | None, *, replace: bool) -> Iterator[Part]:
    """Opens or creates the part of an export while the context is open.

    Args:
        path: The path of the export.
        sub: The user; None for all users.
        identity: Identifies the tables; None if they cannot be identified, so that the export cannot be resumed.
        replace: Whether an existing export may be replaced.

    Raises:
        ValidationError: The export exists, or the part belongs to another export, is damaged or cannot be written.
        OSError: Writing fails, for example because the disk is full.
    """
    private_files.check_replaceable(path)
    part_path = path.with_name(f"{path.name}.part")
    private_files.check_replaceable(part_path)
    private_files.check_replaceable(_new_path(path))
    if path.exists() and not replace:
        raise ValidationError(f"{path} already exists: --force replaces it")
    try:
        file = private_files.reopen(part_path) if part_path.exists() else private_files.create(part_path)
    except OSError as error:
        raise ValidationError(f"{part_path} cannot be written: {error.strerror}") from error
    with private_files.closed(file):
        part = Part(file, part_path, sub, identity)
        part.resume()
        try:
            yield part
        except BaseException:
            if not part.items:
                part.delete()
            raise


@contextmanager
def open_body(sub: str | None) -> Iterator[ExportBody]:
    """Opens the body of an export to standard output, in an anonymous temporary file.

    Raises:
        OSError: Writing fails, for example because the disk is full.
    """
    with TemporaryFile() as file:
        yield ExportBody(file, sub)


def _new_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")
