"""Forks worker processes, replaces those that die, and stops them on SIGTERM or SIGINT."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import Final, NamedTuple

from ..engines import telemetry
from ..exceptions import BaseError, ConfigurationError

RESTART_SECONDS: Final = 0.5
_SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})


class Worker(NamedTuple):
    """A worker process.

    Attributes:
        number: Its number, from 0; the one that replaces it has the same.
        supervisor: A descriptor that becomes readable when the supervisor is gone; None if there is none.
    """

    number: int
    supervisor: int | None = None


def supervise(count: int, work: Callable[[Worker], None], has_started: Callable[[int], bool]) -> None:
    """Runs workers until SIGTERM or SIGINT, which they get too.

    Args:
        count: The number of workers.
        work: Runs in each process, until SIGTERM or SIGINT.
        has_started: Returns whether a worker of this number ever started to work.

    Raises:
        ConfigurationError: A worker could not start; it has printed the reason.
    """
    # Signals are received one after the other, by sigwait, so that none arrives during a fork.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    read, write = os.pipe()
    try:
        workers = {_fork(Worker(number, read), work, write, mask): number for number in range(count)}
        is_stopping = has_failed = False
        while workers:
            was_stopping = is_stopping
            if signal.sigwait(_SIGNALS) != signal.SIGCHLD:
                is_stopping = True
            for number in _reap(workers):
                if is_stopping:
                    continue
                if not has_started(number):
                    is_stopping = has_failed = True
                    continue
                telemetry.logger().error("worker %d ended and is replaced", number)
                workers[_fork(Worker(number, read), work, write, mask, RESTART_SECONDS)] = number
            if is_stopping and not was_stopping:
                _terminate(workers)
    finally:
        os.close(read)
        os.close(write)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    if has_failed:
        raise ConfigurationError("a worker of the broker could not start")


def _reap(workers: dict[int, int]) -> list[int]:
    """Removes the workers that have ended, and returns their numbers."""
    ended = [pid for pid in workers if os.waitpid(pid, os.WNOHANG)[0]]
    return [workers.pop(pid) for pid in ended]


def _terminate(workers: dict[int, int]) -> None:
    for pid in workers:
        os.kill(pid, signal.SIGTERM)


def _fork(
    worker: Worker, work: Callable[[Worker], None], write: int, mask: set[int | signal.Signals], delay: float = 0.0
) -> int:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        # Only the supervisor has this end, so that the other one is closed with it.
        os.close(write)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        time.sleep(delay)
        work(worker)
        code = 0
    except BaseError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201 (the command of this process does not print it)
    except BaseException:  # noqa: BLE001 (a fork must not continue as its parent)
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)
