"""Files that only their owner may read, because they hold secrets or tell who has some."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

_PRIVATE: Final = 0o600


def create(path: Path) -> BinaryIO:
    """Creates a file that was not there, with mode 0600 from its first byte, to write and read.

    Raises:
        OSError: It is there already, also as a link, or cannot be created.
    """
    # O_EXCL follows no link (POSIX, open).
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), _PRIVATE), "w+b")
    save_folder(path)
    return file


def reopen(path: Path) -> BinaryIO:
    """Opens a file that ``create`` made, to read and write on; takes back what others were allowed since.

    Raises:
        OSError: It is not there, or cannot be opened.
    """
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    file = os.fdopen(os.open(path, flags), "r+b")
    path.chmod(_PRIVATE)
    return file


@contextmanager
def closed(file: BinaryIO) -> Iterator[BinaryIO]:
    """Closes a file when the context ends.

    Where that is by an exception, it stays the one that is told: what could not be written fails again on closing.
    """
    try:
        yield file
    except BaseException:
        with suppress(OSError):
            file.close()
        raise
    file.close()


def save(file: BinaryIO) -> None:
    """Waits until what was written is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def save_folder(path: Path) -> None:
    """Waits until the name of a file is on the disk, where the system can tell: Windows opens no folder."""
    with suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
