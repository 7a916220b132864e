"""Measuring is suspended for a block, and goes on after it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.unmeasured import _REPEATING, repeats, unmeasured


def test_the_tracer_of_a_thread_is_suspended() -> None:
    before, leave = sys.gettrace(), os._exit

    with pytest.raises(ZeroDivisionError), unmeasured():
        assert sys.gettrace() is None
        1 / 0  # noqa: B018

    assert sys.gettrace() is before
    assert os._exit is leave


@pytest.mark.parametrize("nodeid", ["tests/contract/test_a.py::test_a[b/c]", "tests/broker/test_faults.py::A::test_a"])
def test_tests_of_listed_folders_and_modules_repeat_others(nodeid: str) -> None:
    assert repeats(nodeid)


@pytest.mark.parametrize("nodeid", ["tests/broker/test_a.py::test_faults", "test_a.py::test_a[tests/contract]"])
def test_other_tests_are_measured(nodeid: str) -> None:
    assert not repeats(nodeid)


def test_each_listed_folder_and_module_exists() -> None:
    root = Path(__file__).parents[2]

    assert [name for name in _REPEATING if not (root / name).exists()] == []
