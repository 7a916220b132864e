from __future__ import annotations

import itertools
from itertools import count
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import page
from benchmarks.peers.stopwatch import Stopwatch
from benchmarks.pictures import Bars, draw_bars, draw_lines, draw_stacks
from benchmarks.report import Goal, Table, goals_table, ratio_text, seconds_text, spread_text
from benchmarks.suites.cold import group_imports, read_imports

CEILING = Goal("fast", "ours", "theirs", 1 / 5)
FLOOR = Goal("many", "ours", "theirs", 3.0, is_floor=True)


@pytest.mark.parametrize(
    ("goal", "ratio", "verdict"),
    [
        (CEILING, 0.1, "met, 50% to spare"),
        (CEILING, 0.2, "met, 0% to spare"),
        (CEILING, 0.3, "missed by 50%"),
        (FLOOR, 3.3, "met, 10% to spare"),
        (FLOOR, 3.0, "met, 0% to spare"),
        (FLOOR, 1.5, "missed by 50%"),
    ],
)
def test_a_verdict_says_by_how_much(goal: Goal, ratio: float, verdict: str) -> None:
    assert goal.verdict(ratio) == verdict


def test_a_goal_is_judged_by_the_median_of_the_rounds_ratios() -> None:
    figures = {"ours": [1.0, 1.0, 9.0], "theirs": [10.0, 8.0, 9.0]}

    assert CEILING.row(figures) == ("fast", "at most 1/5", "1/8 (1/8.9 to 1/1.8)", "met, 38% to spare")


def test_a_goal_that_was_not_measured_has_no_verdict() -> None:
    assert goals_table([CEILING], {"ours": [1.0]}).rows == []


@pytest.mark.parametrize(("ratio", "text"), [(1 / 6, "1/6"), (0.4, "1/2.5"), (1.0, "1"), (4.14, "4.1")])
def test_ratios_read_as_people_say_them(ratio: float, text: str) -> None:
    assert ratio_text(ratio) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1.5e-6, "1.5 us"), (123.4e-6, "123 us"), (1.234e-3, "1.23 ms"), (0.6304, "630 ms"), (2.0, "2 s"), (0.0, "0 us")],
)
def test_times_have_three_digits_and_a_unit(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


def test_a_spread_reads_as_the_median_and_the_quartiles() -> None:
    assert spread_text([1.0, 2.0, 3.0]) == "2 s (1.5 s - 2.5 s)"


TABLE = Table("calls", ("call", "time"), [("get", "1 us"), ("create", "12 us")])


def test_a_table_is_markdown_in_columns() -> None:
    assert TABLE.markdown() == ("| call   |  time |\n| ------ | ----: |\n| get    |  1 us |\n| create | 12 us |\n")


def test_tables_and_pictures_are_put_into_their_places(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text("a\n<!-- table: calls -->\nold\n<!-- end -->\nb\n<!-- table: other -->\n<!-- end -->\n")

    page.write([TABLE], {"calls": "<svg/>"}, document, tmp_path / "pictures")

    assert document.read_text() == (
        f"a\n<!-- table: calls -->\n\n{TABLE.markdown()}\n<!-- end -->\nb\n<!-- table: other -->\n<!-- end -->\n"
    )
    assert (tmp_path / "pictures" / "calls.svg").read_text() == "<svg/>"


def test_to_write_twice_changes_nothing() -> None:
    once = page.with_tables("<!-- table: calls -->\n<!-- end -->\n", [TABLE])

    assert page.with_tables(once, [TABLE]) == once


def test_a_table_without_a_place_is_an_error() -> None:
    with pytest.raises(ValueError, match="no place for the table calls"):
        page.with_tables("<!-- table: other -->\n<!-- end -->", [TABLE])


def _texts(picture: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314


def _widths(picture: str) -> list[float]:
    shapes = ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}rect")  # noqa: S314
    return [float(shape.attrib["width"]) for shape in shapes]


def test_bars_are_as_long_as_their_values() -> None:
    picture = draw_bars("Calls", [Bars("get & list", {"ours": 1.0, "theirs": 4.0}, seconds_text)])

    assert _widths(picture) == [112.5, 450.0]
    assert _texts(picture) == ["Calls", "get & list", "ours", "1 s", "theirs", "4 s"]


def test_the_parts_of_a_stack_fill_its_width() -> None:
    picture = draw_stacks("Parts", {"get": {"one": 1.0, "two": 3.0}}, seconds_text)

    one, two = _widths(picture)[:2]
    assert two == pytest.approx(3 * one, rel=0.01)
    assert "two: 3 s, 75%" in _texts(picture)


def test_a_power_is_a_straight_line() -> None:
    line = {10.0**power: 10.0 ** (2 * power - 6) for power in range(4)}
    picture = draw_lines("Growth", ("size", "time"), {"square": line}, seconds_text)

    drawn = ET.fromstring(picture).find("{http://www.w3.org/2000/svg}polyline")  # noqa: S314
    assert drawn is not None
    points = [tuple(map(float, point.split(","))) for point in drawn.attrib["points"].split()]
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(points)]
    assert steps == [pytest.approx(steps[0], abs=0.2)] * 3


def test_time_is_the_innermost_stages() -> None:
    now = 0.0

    def work(seconds: float) -> None:
        nonlocal now
        now += seconds

    stopwatch = Stopwatch("outer", clock=lambda: now)
    inner = stopwatch.timed("inner", work)

    def go_through_both() -> None:
        work(1.0)
        inner(2.0)
        work(4.0)

    stopwatch.timed("middle", go_through_both)()
    work(8.0)

    assert stopwatch.take() == {"outer": 8.0, "middle": 5.0, "inner": 2.0}
    assert stopwatch.take() == {"outer": 0.0}


def test_what_a_look_at_the_clock_takes_is_taken_off() -> None:
    ticks = count()
    stopwatch = Stopwatch("outer", clock=lambda: float(next(ticks)))

    stopwatch.timed("inner", lambda: None)()

    assert stopwatch.take() == {"outer": 0.0, "inner": 0.0}


IMPORTS = """\
import time: self [us] | cumulative | imported package
import time:       100 |        100 |   encodings
import time:        50 |        150 | site
import time:         7 |          7 |   open_alchemy.package_database.types
import time:         5 |         12 | open_alchemy.package_database
import time:         3 |          3 | json.decoder
"""


def test_imports_are_grouped_by_their_package() -> None:
    assert group_imports(read_imports(IMPORTS)) == {
        "the interpreter's start": 150,
        "open_alchemy.package_database": 12,
        "json": 3,
    }
