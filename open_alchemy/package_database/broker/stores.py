"""The stores behind a broker, by the names of their instances: opened on first use, and closed while they are idle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from ..core.operations import Table
from ..exceptions import ConfigurationError, NotFoundError
from ..instances import process
from ..instances.instance import Instance
from .store import Store


class InstanceStores(Mapping[str, Store]):
    """The stores of instances; iteration yields those that were used.

    Args:
        find: Returns an instance by its name; raises ``NotFoundError`` or ``ConfigurationError`` if there is none.
        tables: Their tables.
        allows_administration: Whether clients may create, empty and delete tables.
    """

    def __init__(
        self, find: Callable[[str], Instance], tables: Sequence[Table], *, allows_administration: bool = False
    ) -> None:
        self._find = find
        self._tables = tables
        self._allows_administration = allows_administration
        self._stores: dict[str, tuple[Instance, Store]] = {}

    def __getitem__(self, name: str) -> Store:
        try:
            instance = self._find(name)
        except (NotFoundError, ConfigurationError):
            self._stores.pop(name, None)
            raise KeyError(name) from None
        known = self._stores.get(name)
        # The URL of an instance may have changed.
        if known is None or known[0] is not instance:
            known = self._stores[name] = instance, self._open(instance)
        return known[1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stores)

    def __len__(self) -> int:
        return len(self._stores)

    async def aclose(self) -> None:
        """Closes the engines."""
        for instance, _ in self._stores.values():
            await instance.aclose()
            instance.close()

    def _open(self, instance: Instance) -> Store:
        return Store(
            instance.async_engine,
            lambda: instance.engine().administration(),
            self._tables,
            allows_administration=self._allows_administration,
        )


def find_instance(name: str) -> Instance:
    """Returns the instance with a name, or the default one; only the selected one, if one is selected."""
    selected = process.selected_instance()
    if selected is not None:
        if name:
            raise NotFoundError(f"the broker serves one store only, and has no instance {name!r}")
        return selected
    return process.directory().get(name) if name else process.directory().default()
