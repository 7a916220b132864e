"""The errors of features whose packages, in an extra of this package, are not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .exceptions import ConfigurationError


@contextmanager
def imports(what: str, extra: str) -> Iterator[None]:
    """A context in which the packages of an extra are imported.

    Args:
        what: The feature that needs them, for the message.
        extra: The extra.

    Raises:
        ConfigurationError: A package is not installed. The message names the command that installs it.
    """
    try:
        yield
    except ImportError as error:
        raise missing(what, extra, error.name) from error


def missing(what: str, extra: str, package: str | None = None) -> ConfigurationError:
    """Returns the error of a feature that needs a package of an extra."""
    needed = f"{package}, which is not installed" if package else "packages that are not installed"
    return ConfigurationError(f"{what} needs {needed}: pip install 'open-alchemy.package-database[{extra}]'")
