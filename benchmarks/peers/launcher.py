"""Starts processes, and reports the time to their first byte of output, CPU time and memory as lines of JSON.

The peak memory of a process includes that of the process that forked it (Linux, getrusage(2)), so this process
imports almost nothing.
"""

import json
import os
import sys
import time

_KILOBYTE = 1 if sys.platform == "darwin" else 1024
"""The unit of ``ru_maxrss`` in bytes (getrusage(2))."""


def launch(command: list[str]) -> dict[str, float]:
    """Runs a command that writes a byte when its call returns.

    Returns:
        The seconds to that byte, the seconds of CPU time and the bytes of memory at the peak.
    """
    reader, writer = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, writer, 1), (os.POSIX_SPAWN_CLOSE, reader)]
    begin = time.perf_counter()
    child = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
    os.close(writer)
    first = os.read(reader, 1)
    wall = time.perf_counter() - begin
    _, status, usage = os.wait4(child, 0)
    os.close(reader)
    if status or not first:
        raise SystemExit(f"{command} ended with {status}")
    return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "memory": usage.ru_maxrss * _KILOBYTE}


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(json.dumps(launch(json.loads(line))) + "\n")
        sys.stdout.flush()
