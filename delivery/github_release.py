"""Creates the git tag and the GitHub release of a version, with the notes of ``CHANGELOG.md``.

    scripts/github-release FILE...

attaches the files to the release ``vVERSION`` of the commit ``GITHUB_SHA``. It does nothing if the release exists, so a
failed run can be repeated. It calls GitHub's command line ``gh``, which reads ``GH_TOKEN`` and ``GH_REPO``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from .changelog import release_notes
from .project import configured


def main(files: Sequence[str]) -> int:
    """Creates the release, and returns the exit code."""
    version = configured().version
    tag = f"v{version}"
    if subprocess.run(["gh", "release", "view", tag], capture_output=True, check=False).returncode == 0:  # noqa: S607
        print(f"The release {tag} exists.")
        return 0
    command = ["gh", "release", "create", tag, *files, f"--target={os.environ['GITHUB_SHA']}", f"--title={version}"]
    return subprocess.run([*command, "--notes-file=-"], input=release_notes(version), text=True, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
