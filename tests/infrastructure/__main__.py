"""Stores the synthesized template, after a review of its difference from the stored one.

python -m tests.infrastructure                    refuses a change that loses data or an index
python -m tests.infrastructure --losing-the-data  stores in any case
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.infrastructure import stored
from tests.infrastructure.synthesis import synthesize

_FORCE = "--losing-the-data"


def main(arguments: list[str]) -> int:
    """Stores the template, and returns the exit code."""
    with TemporaryDirectory() as folder:
        synthesis = synthesize(Path(folder))
        if synthesis.exit_code:
            print(synthesis.output, file=sys.stderr)  # noqa: T201
            return 1
        template = synthesis.template
    losses = stored.losses(stored.read(), template) if stored.FILE.exists() else []
    if losses and arguments != [_FORCE]:
        advice = f"not stored; to store in spite of the loss: {stored.COMMAND} {_FORCE}"
        print(*losses, advice, sep="\n", file=sys.stderr)  # noqa: T201
        return 1
    stored.FILE.write_text(stored.text(template), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
