"""The chart of docs/performance.md: layers' shares of the peak beside other libraries', and steps beside PyTorch's."""

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.hashsalt": "ctnn", "svg.fonttype": "none", "font.size": 8,  # no dates, no glyphs
                            "font.family": ["sans-serif"], "axes.spines.top": False, "axes.spines.right": False})

from matplotlib import pyplot  # noqa: E402

from .results import on_threads, share  # noqa: E402

COLORS = {"ctnn": "#0b6e99", "oneDNN": "#d9822b", "OpenBLAS": "#8a8a8a", "PyTorch": "#d9822b"}
MARKERS = {"ctnn": "o", "oneDNN": "D", "OpenBLAS": "s"}
DIRECTIONS = ("forward", "backward data", "backward weights")


def layers_of(data):
    """The rows of the chart: batches, and the algorithm that all libraries share."""
    return list(dict.fromkeys(row["layer"] for row in data["kernels"]
                              if row["samples"] > 1 and row["kind"] != "winograd"))


def draw_kernels(axes, data):
    """A dot for each library at its share of the peak, a row for each layer, a column of axes for each direction."""
    layers = layers_of(data)
    for axis, direction in zip(axes, DIRECTIONS):
        for library in ("OpenBLAS", "oneDNN", "ctnn"):  # ctnn on top
            dots = [(share(row, None if library == "ctnn" else row["peers"][library]), row["layer"])
                    for row in data["kernels"] if row["direction"] == direction and row["layer"] in layers
                    and (library == "ctnn" or library in row["peers"])]
            if not dots:
                continue
            axis.plot([100 * x for x, _ in dots], [layers.index(layer) for _, layer in dots], MARKERS[library],
                      color=COLORS[library], label=library, markersize=4)
        axis.set(title=direction, xlim=(0, 105), ylim=(len(layers) - 0.5, -0.5), yticks=range(len(layers)))
        axis.set_yticklabels(layers if axis is axes[0] else [])
        axis.grid(axis="both", color="#dddddd", linewidth=0.5)
    axes[1].legend(loc="lower center", bbox_to_anchor=(0.5, 1.05), ncol=3, frameon=False)
    axes[1].set_xlabel(f"% of the multiply-add peak, {on_threads(data['threads'])}")


def draw_steps(axis, results):
    """PyTorch's time to ctnn's."""
    rows = [(f"{network}, {row['pass'].replace('_', ' ')}", row["ratio_p10"])
            for network, (_, found) in results.compare.items() for row in found]
    places = range(len(rows))
    axis.barh(places, [value - 1 for _, value in rows], left=1, color=COLORS["ctnn"], height=0.6)
    for place, (_, value) in zip(places, rows):
        axis.text(max(value, 1) * 1.03, place, f"{value:.2f}", va="center")
    axis.axvline(1, color=COLORS["PyTorch"], linewidth=1)
    axis.set(xscale="log", xlabel="PyTorch's time to ctnn's", yticks=places, ylim=(len(rows) - 0.5, -0.5))
    axis.set_xlim(min(0.8, *(value / 1.5 for _, value in rows)), max(value for _, value in rows) * 1.5)
    axis.set_yticklabels([name for name, _ in rows])
    axis.xaxis.set_major_formatter("{x:g}")


def draw(results, path):
    """Writes what there are figures for to an SVG file; nothing where there are none."""
    kernels = results.kernels[min(results.kernels)] if results.kernels else None
    if kernels is None and not results.compare:
        return False
    heights = ([1.2 + 0.17 * len(layers_of(kernels))] if kernels else []) + \
              ([0.7 + 0.2 * sum(len(rows) for _, rows in results.compare.values())] if results.compare else [])
    figure = pyplot.figure(figsize=(8, sum(heights)), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1)
    parts = list(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
    if kernels:
        draw_kernels(parts.pop(0).subplots(1, len(DIRECTIONS)), kernels)
    if results.compare:
        draw_steps(parts.pop(0).subplots(), results)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return True
