"""Reports the result of the daily production test in one GitHub issue.

    scripts/report-daily-test success|failure|cancelled

opens an issue with the label ``production-test`` after a failure, comments on it after each further failure, and closes
it after a success. It calls GitHub's command line ``gh``, which reads ``GH_TOKEN`` and ``GH_REPO``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

Command: TypeAlias = list[str]

LABEL: Final = "production-test"
_TITLE: Final = "The daily production test fails"


def commands(result: str, open_issues: Sequence[int], run_url: str) -> list[Command]:
    """Returns the arguments of the calls of ``gh`` that update the issue.

    Args:
        result: The result of the job: success, failure or cancelled.
        open_issues: The numbers of the open issues with the label.
        run_url: The URL of the workflow run.
    """
    issues = [str(number) for number in open_issues]
    if result == "success":
        return [["issue", "close", issue, f"--comment=Passed: {run_url}"] for issue in issues]
    if issues:
        return [["issue", "comment", issues[0], f"--body=Failed again ({result}): {run_url}"]]
    body = (
        f"Result: {result}. Log: {run_url}\n\ndocs/delivery.md describes the causes. A passing run closes this issue."
    )
    return [
        ["label", "create", LABEL, "--force", "--description=The production tests on the deployed tables"],
        ["issue", "create", f"--title={_TITLE}", f"--label={LABEL}", f"--body={body}"],
    ]


def report(result: str, *, gh: Callable[[Command], str], run_url: str) -> None:
    """Updates the issue."""
    listed = gh(["issue", "list", f"--label={LABEL}", "--state=open", "--json=number"])
    for command in commands(result, [issue["number"] for issue in json.loads(listed)], run_url):
        gh(command)


def _gh(arguments: Command) -> str:
    return subprocess.run(["gh", *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout  # noqa: S607


def main(arguments: Sequence[str]) -> int:
    """Reports the result that the arguments name, and returns the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/report-daily-test", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("result", choices=("success", "failure", "cancelled"))
    result = parser.parse_args(arguments).result
    report(result, gh=_gh, run_url=os.environ["RUN_URL"])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
