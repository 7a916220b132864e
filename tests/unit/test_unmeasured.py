"""Measuring is suspended for a block, and goes on after it."""

from __future__ import annotations

import os
import sys

import pytest

from tests.unmeasured import unmeasured


def test_the_tracer_of_a_thread_is_suspended() -> None:
    before, leave = sys.gettrace(), os._exit

    with pytest.raises(ZeroDivisionError), unmeasured():
        assert sys.gettrace() is None
        1 / 0  # noqa: B018

    assert sys.gettrace() is before
    assert os._exit is leave
