"""The settings of a run, and the workers that they select."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .environments import Environment, PeerError, python_of
from .workers import Peer, Worker, running_worker


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a run: the folder of the virtual environments, and whether to measure only briefly."""

    environments: Path
    is_quick: bool = False

    def python(self, environment: Environment) -> Path:
        """Returns the interpreter of an environment."""
        return python_of(environment, self.environments)


@contextmanager
def started(peers: Sequence[Peer], settings: Settings, url: str) -> Iterator[dict[str, Worker | str]]:
    """Starts the workers of peers, and yields them by name, or the reason why one did not start."""
    workers: dict[str, Worker | str] = {}
    with ExitStack() as stack:
        for peer in peers:
            try:
                python = settings.python(peer.environment)
                workers[peer.name] = stack.enter_context(running_worker(peer, python, url))
            except PeerError as error:
                workers[peer.name] = str(error)
        yield workers
