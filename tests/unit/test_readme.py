"""The example of the README runs as it stands, and finds its data again after a restart."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLE = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)[0]


def run(program: str, folder: Path) -> str:
    names = ("STAGE", "AWS_REGION", "AWS_DEFAULT_REGION")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=folder,
        env={**environment, "PACKAGE_DATABASE_URL": "sqlite:///x.db", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout


def test_the_example_runs_on_sqlite_and_its_data_is_found_after_a_restart(tmp_path: Path) -> None:
    read = """
from open_alchemy import package_database
print(package_database.get().get_latest_spec_version(sub="user 1", name="my-spec"))
"""

    run(EXAMPLE, tmp_path)
    found = run(read, tmp_path)

    assert "# '1.0'" in EXAMPLE
    assert found == "1.0\n"
    assert [path.name for path in tmp_path.iterdir()] == ["x.db"]
