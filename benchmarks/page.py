"""Writes results into ``docs/performance.md``: tables between their markers, and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from .loopback import CHECKOUT
from .results import Column, Results, Suite, quartiles

PAGE = CHECKOUT / "docs" / "performance.md"
PICTURES = CHECKOUT / "docs" / "performance"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table in Markdown with aligned columns."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "".join(_line(cells, widths) for cells in (header, rule, *rows))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    return f"| {' | '.join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)])} |\n"


def with_tables(page: str, tables: Mapping[str, str]) -> str:
    """Returns a page with new tables between ``<!-- table: NAME -->`` and ``<!-- end -->``.

    Raises:
        ValueError: The page has no markers for a table.
    """
    for name, table in tables.items():
        before, marker, rest = page.partition(f"<!-- table: {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        if not end:
            raise ValueError(f"the page has no markers for the table {name}")
        page = f"{before}{marker}\n{table}\n{end}{after}"
    return page


def write(tables: Mapping[str, str]) -> None:
    """Writes tables into the page."""
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), tables), encoding="utf-8")


def draw(suite: Suite, results: Results, folder: Path) -> None:
    """Draws the results of a suite: as it does itself, or else the medians of its first column as bars."""
    folder.mkdir(parents=True, exist_ok=True)
    if suite.draw is not None:
        suite.draw(results, folder / f"{suite.name}.svg")
        return
    import matplotlib as mpl
    from matplotlib.figure import Figure

    panels = compared(suite.columns[0], results)
    heights = [len(bars) for bars in panels.values()]
    mpl.rcParams.update({"svg.hashsalt": suite.name, "font.size": 9})
    figure = Figure((8, 0.28 * sum(heights) + 0.5 * len(heights)), layout="constrained")
    axes = figure.subplots(len(panels), squeeze=False, height_ratios=heights)[:, 0]
    for panel, (title, values) in zip(axes, panels.items(), strict=True):
        bars = panel.barh(
            list(values), list(values.values()), color=["C0" if "this" in name else "C7" for name in values]
        )
        panel.bar_label(bars, [suite.columns[0].text(value) for value in values.values()], padding=3)
        panel.set_title(title, loc="left")
        panel.invert_yaxis()
        panel.margins(x=0.15)
        panel.set_xticks([])
        panel.spines[:].set_visible(False)
    figure.savefig(folder / f"{suite.name}.svg", metadata={"Date": None})


def compared(column: Column, results: Results) -> dict[str, dict[str, float]]:
    """Returns the medians of a column by the title of their panel and by the name of their bar.

    A case that several peers ran is a panel with a scale of its own. If most cases have one peer, all are in one panel.
    """
    medians = {
        place: quartiles([column.value(sample) for sample in samples])[1]
        for place, samples in results.items()
        if not isinstance(samples, str)
    }
    has_peers = len({case for case, _ in medians}) * 2 <= len(medians)
    panels: dict[str, dict[str, float]] = {}
    for (case, peer), value in medians.items():
        if has_peers:
            panels.setdefault(f"{case}: {column.title}", {})[peer] = value
        elif value:
            panels.setdefault(column.title, {})[f"{case}: {peer}"] = value
    return panels
