#!/usr/bin/env python3
"""Draws a figure of training steps, as runs of alexnet wrote it for TensorBoard: curves.py OUT.svg NAME=RUN...

    benchmarks/curves.py docs/lars.svg momentum=runs/momentum-4096 LARS=runs/lars-4096 --top 100

The scale is logarithmic. Needs matplotlib.
"""
import argparse
import pathlib
import sys

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402

sys.path.append(str(pathlib.Path(__file__).parents[1] / "tests" / "tool"))
from tensorboard import fields, records  # noqa: E402

COLORS = ("#d9822b", "#0b6e99", "#8a8a8a")


def scalars(run, tag):
    """Steps and values of a tag in all event files of a run."""
    found = {}
    for path in sorted(pathlib.Path(run).glob("events.out.tfevents.*")):
        for record in records(path.read_bytes()):
            event = dict(fields(record))
            for number, value in fields(event.get(5, b"")):  # Event.summary; Summary.value is field 1
                scalar = dict(fields(value)) if number == 1 else {}
                if scalar.get(1) == tag.encode() and 2 in scalar:
                    found[event.get(2, 0)] = scalar[2]
    if not found:
        sys.exit(f"{run}: found no event files with {tag}")
    return zip(*sorted(found.items()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN")
    parser.add_argument("--tag", default="train/loss")
    parser.add_argument("--top", type=float, help="where the vertical scale ends")
    options = parser.parse_args()
    matplotlib.rcParams.update({"svg.hashsalt": "ctnn", "svg.fonttype": "none", "font.size": 9,
                                "font.family": ["sans-serif"], "axes.spines.top": False, "axes.spines.right": False})
    figure, axis = pyplot.subplots(figsize=(7, 3), layout="constrained")
    least = float("inf")
    for color, (name, run) in zip(COLORS, (text.split("=", 1) for text in options.runs)):
        steps, values = scalars(run, options.tag)
        axis.plot(steps, values, "o-", markersize=2.5, linewidth=1, color=color, label=name)
        least = min(least, *values)
    axis.set(xlabel="step", ylabel=options.tag, yscale="log", ylim=(0.8 * least, options.top))
    axis.grid(color="#dddddd", linewidth=0.5)
    axis.legend(frameon=False)
    figure.savefig(options.out, metadata={"Date": None})


if __name__ == "__main__":
    main()
