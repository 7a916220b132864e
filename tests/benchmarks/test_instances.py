"""The benchmark of the selection of an instance."""

from __future__ import annotations

import math

import pytest

from benchmarks import instances


def test_the_benchmark_prints_the_cost_of_each_selection(capsys: pytest.CaptureFixture[str]) -> None:
    code = instances.main(rounds=1, calls=10, limit=math.inf)

    assert code == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "one store, without a file",
        "one store, without a file, asyncio",
        "the default instance",
        "the default instance, asyncio",
        "a selected instance",
        "a selected instance, asyncio",
    ]
    assert instances.main(rounds=1, calls=10, limit=0) == 1
