#!/usr/bin/env python3
"""Turns what the benchmarks wrote as JSON into the tables and the chart of docs/performance.md.

Each part of the page stands between the lines <!-- begin NAME --> and <!-- end NAME -->; parts without figures stay as
they are. The chart needs matplotlib (Debian: python3-matplotlib) and is left out where that is not installed.
"""

import argparse
import pathlib
import re
import sys

from common import ROOT, fail
from page.results import Results
from page.tables import PARTS


def fill(text, name, part):
    """The page with one part replaced."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"page: expected the lines '{begin}' and '{end}' once each")
    return re.sub(f"(?s){begin}.*{end}", lambda _: f"{begin}\n\n{part}\n\n{end}", text)


def draw(results, path):
    """The line that shows the chart, which lies beside the page; nothing where none could be drawn."""
    try:
        from page import chart
    except ImportError:
        print("report.py: no chart: matplotlib was not found (Debian: python3-matplotlib)", file=sys.stderr)
        return None
    if not chart.draw(results, path):
        return None
    print(f"wrote {path}")
    return f"![Share of the multiply-add peak by layer and direction, and PyTorch's time to ctnn's]({path.name})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="file", help="what a benchmark wrote by --json")
    parser.add_argument("--page", type=pathlib.Path, default=ROOT / "docs" / "performance.md",
                        help="the page, whose chart lies beside it as .svg (docs/performance.md)")
    options = parser.parse_args()
    try:
        results = Results(options.files)
        text = options.page.read_text("utf-8")
        for name, make in {**PARTS, "chart": lambda r: draw(r, options.page.with_suffix(".svg"))}.items():
            part = make(results)
            if part is not None:
                text = fill(text, name, part)
    except OSError as error:
        fail(f"{options.page}: {error.strerror}")
    except ValueError as error:
        fail(error)
    options.page.write_text(text, "utf-8")
    print(f"wrote {options.page}")


if __name__ == "__main__":
    main()
