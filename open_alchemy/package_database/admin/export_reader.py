"""Reading an export: it is verified whole before anything is made of it."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from ..core.secret import Secret
from ..exceptions import ValidationError
from ..model.stored_items import Entry
from .export_format import MAX_LINE_BYTES, Header, decode_entry, decode_header

_GZIP: Final = b"\x1f\x8b"


class ExportFile:
    """An open export, in gzip or not, that can be read again and again.

    Every method raises ``ValidationError`` where the file is not what was written; its message names the file and the
    line.
    """

    def __init__(self, path: Path, file: IO[bytes] | gzip.GzipFile) -> None:
        self._path = path
        self._file = file

    def header(self) -> Header:
        """Returns the header."""
        with self._errors("header"):
            self._file.seek(0)
            return decode_header(self._file.readline(MAX_LINE_BYTES))

    def entries(self) -> Iterator[Entry]:
        """Yields the items, and at the end checks their count and checksum."""
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
                f"{self._path} holds {count} items and its header says {header.items}: it is cut short or damaged"
            )
        if digest.hexdigest() != header.sha256:
            raise ValidationError(f"{self._path} does not have the checksum of its header: it was changed or damaged")

    def verify(self, advance: Callable[[int], None]) -> Header:
        """Reads the whole file once and returns its header; ``advance`` is told of each item that was read."""
        for _ in self.entries():
            advance(1)
        return self.header()

    @contextmanager
    def _errors(self, place: str) -> Iterator[None]:
        try:
            yield
        except ValidationError as error:
            raise ValidationError(f"{self._path}, {place}: {error}") from None
        except (OSError, EOFError, zlib.error) as error:
            raise ValidationError(f"{self._path}, {place}: it is cut short or damaged: {error}") from error


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
    with file:
        is_gzip = file.read(len(_GZIP)) == _GZIP
        file.seek(0)
        if not is_gzip:
            yield ExportFile(path, file)
            return
        with gzip.open(file) as unzipped:
            yield ExportFile(path, unzipped)
