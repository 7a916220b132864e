"""Suspends the measurement of coverage where it costs much time and covers nothing more."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unmeasured() -> Iterator[None]:
    """Does not measure the coverage of this thread in a block.

    ``Coverage.stop`` and ``start`` would replace ``os._exit`` and add a hook of ``os.fork`` at each start.
    """
    trace = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(trace)
