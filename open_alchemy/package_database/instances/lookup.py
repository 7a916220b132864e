"""Where a process finds its instances: the one store of the environment, or the file of instances."""

from __future__ import annotations

from typing import Final, Protocol

from ..engines import registry
from ..engines.port import Config, Environment
from ..exceptions import ConfigurationError, NotFoundError
from .instance import Instance

FILE_VARIABLE: Final = "PACKAGE_DATABASE_INSTANCES"
INSTANCE_VARIABLE: Final = "PACKAGE_DATABASE_INSTANCE"


class Directory(Protocol):
    """The instances of a process."""

    def get(self, id: str, /) -> Instance:  # noqa: A002
        """Returns an instance by its id; raises ``NotFoundError`` if there is none."""

    def ids(self) -> tuple[str, ...]:
        """Returns the ids of all instances."""

    def default(self) -> Instance:
        """Returns the instance of work outside of an instance; raises ``ConfigurationError`` if that is refused."""

    def default_id(self) -> str | None:
        """Returns the id of the default instance, if it has one."""

    def has_ids(self) -> bool:
        """Returns whether instances have ids, so that every request must select one."""


class SingleStore:
    """The directory of a process without a file of instances.

    Args:
        config: The configuration of the store.
    """

    def __init__(self, config: Config) -> None:
        self._instance = Instance(config)

    def get(self, id: str, /) -> Instance:  # noqa: A002
        """Raises ``NotFoundError``."""
        raise NotFoundError(f"there is no instance {id!r}: {FILE_VARIABLE} is not set")

    def ids(self) -> tuple[str, ...]:
        """Returns no id."""
        return ()

    def default(self) -> Instance:
        """Returns the store."""
        return self._instance

    def default_id(self) -> None:
        """The store has no id."""

    def has_ids(self) -> bool:
        """Returns False."""
        return False


def from_environment(environment: Environment) -> Directory:
    """Returns the directory that the environment configures.

    Raises:
        ConfigurationError: A variable is missing or invalid, or the file of instances is.
    """
    path, own = environment.get(FILE_VARIABLE), environment.get(INSTANCE_VARIABLE)
    if not path:
        if own:
            raise ConfigurationError(f"{INSTANCE_VARIABLE} requires {FILE_VARIABLE}, the file that lists the instances")
        return SingleStore(registry.from_environment(environment))
    if environment.get(registry.URL_VARIABLE):
        raise ConfigurationError(f"{registry.URL_VARIABLE} and {FILE_VARIABLE} are both set: remove one of them")
    from .instance_file import InstanceFile

    return InstanceFile(path, environment, own or None)
