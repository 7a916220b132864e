"""The file of instances, which is read again when it changes.

A lookup checks the file at most once a second, or when it does not find an id. A change takes effect as a whole: an
invalid file is logged, and the previous content stays in use. An instance whose URL stays the same keeps its engines.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from ..engines import registry, telemetry
from ..engines.port import Environment
from ..exceptions import ConfigurationError, NotFoundError
from .file_format import parse
from .idle_closing_instance import ListedInstance
from .instance import Instance
from .lookup import FILE_VARIABLE, INSTANCE_VARIABLE
from .open_engines import OpenEngines
from .state_lock import state

_CHECK_SECONDS: Final = 1.0

_Fingerprint: TypeAlias = tuple[int, ...]
"""Changes when a file is replaced or written to. Empty if the file cannot be read."""


class _Listing(NamedTuple):
    instances: Mapping[str, ListedInstance]
    default: str | None


class InstanceFile:
    """The directory of a process with a file of instances.

    Args:
        path: The file.
        environment: The environment variables, for the URLs.
        default: The id of the default instance, in place of the one in the file.
        monotonic: The clock.

    Raises:
        ConfigurationError: The file cannot be read or is invalid, or it does not list the default instance.
    """

    def __init__(
        self,
        path: str,
        environment: Environment,
        default: str | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        # Another current folder must not change what a change of the file means.
        self._path = Path(path).absolute()
        self._environment = environment
        self._default = default
        self._monotonic = monotonic
        self._engines = OpenEngines()
        self._check_at = monotonic() + _CHECK_SECONDS
        self._fingerprint = _fingerprint(self._path)
        self._listing = self._read({})
        if default is not None and default not in self._listing.instances:
            raise ConfigurationError(f"{INSTANCE_VARIABLE} is {default!r}, which is not listed in {self._path}")

    def get(self, id: str, /) -> Instance:  # noqa: A002
        """Returns an instance by its id; raises ``NotFoundError`` if there is none."""
        if self._monotonic() >= self._check_at:
            self._check()
        found = self._listing.instances.get(id)
        if found is None:
            self._check()
            found = self._listing.instances.get(id)
        if found is None:
            raise NotFoundError(f"there is no instance {id!r} in {self._path}")
        return found

    def ids(self) -> tuple[str, ...]:
        """Returns the ids of all instances, in the order of the file."""
        self._check()
        return tuple(self._listing.instances)

    def default(self) -> Instance:
        """Returns the default instance."""
        default = self.default_id()
        if default is None:
            raise ConfigurationError(
                f"no instance is selected here, and {self._path} has no default. Select one: the middleware for a "
                "request, package_database.instance(ID) for a block, --instance for a command, or "
                f"{INSTANCE_VARIABLE} for the process. A thread does not inherit the instance of the code that starts "
                "it: pass contextvars.copy_context().run to the thread, or use asyncio.to_thread"
            )
        # Checked a moment ago.
        return self._listing.instances.get(default) or self.get(default)

    def default_id(self) -> str | None:
        """Returns the id of the default instance: the one of the process, or else of the file."""
        if self._default is not None:
            return self._default
        if self._monotonic() >= self._check_at:
            self._check()
        return self._listing.default

    def has_ids(self) -> bool:
        """Returns True."""
        return True

    def close(self) -> None:
        """Closes the engines for threads now, and those for asyncio when their calls end."""
        for instance in self._listing.instances.values():
            instance.close()
            instance.unlist()

    def _check(self) -> None:
        """Reads the file if it has changed."""
        # Before the lock, so that other threads do not wait until the file is read.
        self._check_at = self._monotonic() + _CHECK_SECONDS
        if _fingerprint(self._path) == self._fingerprint:
            return
        try:
            with state.lock:
                fingerprint = _fingerprint(self._path)
                if fingerprint == self._fingerprint:
                    return
                self._fingerprint, before = fingerprint, self._listing
                self._listing = self._read(before.instances)
        except ConfigurationError as error:
            telemetry.logger().error("the previous instances stay in use: %s", error)
            return
        for id_, instance in before.instances.items():
            if self._listing.instances.get(id_) is not instance:
                instance.unlist()

    def _read(self, known: Mapping[str, ListedInstance]) -> _Listing:
        """Returns the content of the file, with the known instances whose URL is the same."""
        try:
            content = parse(_load(self._path))
            instances = {id_: self._instance(id_, url, known.get(id_)) for id_, url in content.urls.items()}
        except ConfigurationError as error:
            raise ConfigurationError(f"{self._path}: {error}") from None
        self._engines.limit(content.max_open)
        return _Listing(instances, content.default)

    def _instance(self, id_: str, url: str, known: ListedInstance | None) -> ListedInstance:
        if known is not None and known.url == url:
            return known
        config = registry.from_url(url, self._environment, source=f"instances.{id_}.url")
        return ListedInstance(id_, url, config, self._engines)


def _fingerprint(path: Path) -> _Fingerprint:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _load(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"the file of {FILE_VARIABLE} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"the file of {FILE_VARIABLE} is not UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationError(f"the file of {FILE_VARIABLE} is not TOML: {error}") from None
