"""The one lock of the instances. It is held to change state, and while the file of instances is read."""

from __future__ import annotations

from typing import Final

from ..engines.fork import ForkSafeLock

state: Final = ForkSafeLock()
