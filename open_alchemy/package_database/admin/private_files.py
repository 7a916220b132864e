"""Files that only their owner may read, because they contain secrets."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from ..exceptions import ValidationError

_PRIVATE: Final = 0o600
_BINARY: Final = getattr(os, "O_BINARY", 0)
_NONBLOCK: Final = getattr(os, "O_NONBLOCK", 0)


def create(path: Path) -> BinaryIO:
    """Creates a file with mode 0600, open for writing and reading.

    Raises:
        OSError: The path exists (a link counts), or cannot be created.
    """
    # O_EXCL does not follow links (POSIX, open).
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY, _PRIVATE), "w+b")
    save_folder(path)
    return file


def reopen(path: Path) -> BinaryIO:
    """Opens a file that ``create`` made, for reading and writing, and sets its mode to 0600.

    Raises:
        OSError: It does not exist, is not a regular file, or cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | _NONBLOCK | _BINARY)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file")
    file = os.fdopen(descriptor, "r+b")
    path.chmod(_PRIVATE)
    return file


def check_replaceable(path: Path) -> None:
    """Checks that a path does not exist or is a regular file, so that no device, pipe or folder is replaced.

    Raises:
        ValidationError: The path is no regular file, or a link to another kind of file.
    """
    if path.exists() and not path.is_file():
        raise ValidationError(f"{path} is not a regular file; - is standard output")


@contextmanager
def closed(file: BinaryIO) -> Iterator[BinaryIO]:
    """Closes a file when the context ends.

    After an exception, an error of ``close`` is suppressed: flushing unwritten data fails again.
    """
    try:
        yield file
    except BaseException:
        with suppress(OSError):
            file.close()
        raise
    file.close()


def save(file: BinaryIO) -> None:
    """Writes a file to the disk (fsync)."""
    file.flush()
    os.fsync(file.fileno())


def save_folder(path: Path) -> None:
    """Writes the directory entry of a file to the disk. Does nothing on Windows, which cannot open folders."""
    with suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
