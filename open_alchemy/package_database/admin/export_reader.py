"""Reads an export. A caller can verify the whole file before it uses an item."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final

from ..core.secret import Secret
from ..exceptions import ValidationError
from ..model.export_checks import Entry
from .export_format import MAX_LINE_BYTES, Header, decode_entry, decode_header

_GZIP: Final = b"\x1f\x8b"


class ExportFile:
    """An open export, compressed with gzip or not, that can be read repeatedly.

    Every method raises ``ValidationError`` if the file is not a valid export; the message names the file and the line.
    """

    def __init__(self, path: Path | str, file: IO[bytes] | gzip.GzipFile) -> None:
        self._path = path
        self._file = file

    def header(self) -> Header:
        """Returns the header."""
        with self._errors("header"):
            self._file.seek(0)
            return decode_header(self._file.readline(MAX_LINE_BYTES))

    def entries(self) -> Iterator[Entry]:
        """Yields the items, then checks their number and checksum."""
        header = self.header()
        digest = hashlib.sha256()
        count = 0
        while True:
            with self._errors(f"line {count + 2}"):
                line = Secret(self._file.readline(MAX_LINE_BYTES))
                if not line:
                    break
                digest.update(line)
                entry = decode_entry(line, header.sub)
            count += 1
            yield entry
        if count != header.items:
            raise ValidationError(
                f"{self._path} has {count} items, but its header states {header.items}: it is truncated or damaged"
            )
        if digest.hexdigest() != header.sha256:
            raise ValidationError(f"{self._path} does not match the checksum of its header: it was changed or damaged")

    def verify(self, advance: Callable[[int], None]) -> Header:
        """Reads the whole file and returns its header; calls ``advance`` with the number of items that were read."""
        for _ in self.entries():
            advance(1)
        return self.header()

    @contextmanager
    def _errors(self, position: str) -> Iterator[None]:
        try:
            yield
        except ValidationError as error:
            raise ValidationError(f"{self._path}, {position}: {error}") from None
        except (OSError, EOFError, zlib.error) as error:
            raise ValidationError(f"{self._path}, {position}: it is truncated or damaged: {error}") from error


@contextmanager
def open_export(path: Path) -> Iterator[ExportFile]:
    """Opens an export while the context is open.

    Raises:
        ValidationError: The file cannot be read.
    """
    try:
        file: IO[bytes] = path.open("rb")
    except OSError as error:
        raise ValidationError(f"{path} cannot be read: {error.strerror}") from error
    with file, _open(path, file) if file.seekable() else open_export_stream(file, path) as export:
        yield export


@contextmanager
def open_export_stream(stream: IO[bytes], name: Path | str = "standard input") -> Iterator[ExportFile]:
    """Opens an export that cannot be read twice, such as a pipe: copies it to an anonymous temporary file.

    Raises:
        ValidationError: It is not an export, cannot be read, or the disk is full.
    """
    with TemporaryFile() as file:
        try:
            first = stream.readline(MAX_LINE_BYTES)
            if not first.startswith(_GZIP):
                decode_header(first)  # Before an endless stream fills the disk.
            file.write(first)
            shutil.copyfileobj(stream, file)
        except ValidationError as error:
            raise ValidationError(f"{name}, header: {error}") from None
        except OSError as error:
            raise ValidationError(f"{name} cannot be read: {error.strerror}") from error
        file.seek(0)
        with _open(name, file) as export:
            yield export


@contextmanager
def _open(name: Path | str, file: IO[bytes]) -> Iterator[ExportFile]:
    is_gzip = file.read(len(_GZIP)) == _GZIP
    file.seek(0)
    if not is_gzip:
        yield ExportFile(name, file)
        return
    with gzip.open(file) as unzipped:
        yield ExportFile(name, unzipped)
