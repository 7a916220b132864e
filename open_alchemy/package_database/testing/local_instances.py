"""A file of instances on SQLite, for tests."""

from __future__ import annotations

import json
from pathlib import Path

from ..engines.port import Environment
from ..instances.instance_file import InstanceFile


class LocalInstances:
    """Instances in a folder.

    Attributes:
        path: The file that lists them, for ``PACKAGE_DATABASE_INSTANCES`` of other processes.
        directory: The instances of the process.

    Args:
        folder: An empty folder.
        environment: The environment variables.
    """

    def __init__(self, folder: Path, environment: Environment) -> None:
        self.path = folder / "instances.toml"
        self._write(("one", "two"), None)
        self.directory = InstanceFile(str(self.path), environment)

    def write(self, *ids: str, default: str | None = None) -> None:
        """Replaces the instances; those whose id stays keep their data.

        Args:
            ids: The ids.
            default: The id of the default instance.
        """
        self._write(ids, default)
        self.directory.ids()

    def url(self, instance_id: str) -> str:
        """Returns the URL of an instance, also of one that is not listed."""
        return f"sqlite:///{self.path.parent / instance_id}.db"

    def _write(self, ids: tuple[str, ...], default: str | None) -> None:
        lines = "" if default is None else f"default = {json.dumps(default)}\n"
        for instance_id in ids:
            lines += f"[instances.{json.dumps(instance_id)}]\nurl = {json.dumps(self.url(instance_id))}\n"
        new = self.path.with_suffix(".new")
        new.write_text(lines, encoding="utf-8")
        new.replace(self.path)
