"""A broker that lets clients keep what a write changes: the command of ``quick`` with this one fault.

python -m tests.broker.broker_without_revocations broker OPTIONS
"""

from __future__ import annotations

from open_alchemy.package_database.cli import main
from open_alchemy.package_database.coherence.messages import SessionMessage, Tags
from open_alchemy.package_database.coherence.sessions import Sessions
from tests.broker.quick import divide_durations


def _revoke_nothing(_: Sessions, __: Tags, ___: float) -> tuple[list[SessionMessage], dict[str, float]]:
    return [], {}


if __name__ == "__main__":
    Sessions.invalidate = _revoke_nothing  # type: ignore[assignment, method-assign]
    divide_durations()
    main()
