"""What the benchmarks wrote, by kind, and the few figures that follow from it."""

import json
import math
import pathlib


class Results:
    """The contents of JSON files. A later file replaces an earlier one on as many threads, or on the same network."""

    def __init__(self, paths):
        self.kernels = {}  # threads: what `ctnn_bench kernels` wrote
        self.streams = {}  # threads: what `ctnn_bench streams` wrote
        self.steps = {}  # threads: what `ctnn_bench steps` wrote
        self.compare = {}  # network: (what compare.py wrote, its rows of the network)
        self.compile = None  # what compile.py wrote
        self.startup = None  # what startup.py wrote
        for path in paths:
            try:
                data = json.loads(pathlib.Path(path).read_text("utf-8"))
                kind = data["benchmark"]
                if kind == "kernels":
                    self.kernels[data["threads"]] = data
                elif kind == "streams":
                    self.streams[data["threads"]] = data
                elif kind == "steps":
                    self.steps[data["threads"]] = data
                elif kind == "compare":
                    for row in data["compare"]:
                        self.compare.setdefault(row["network"], (data, []))
                    for network in {row["network"] for row in data["compare"]}:
                        self.compare[network] = (data, [row for row in data["compare"] if row["network"] == network])
                elif kind == "compile":
                    self.compile = data
                elif kind == "startup":
                    self.startup = data
                else:
                    raise ValueError(f"found the benchmark '{kind}', expected kernels, streams, steps, compare, compile or startup")
            except OSError as error:
                raise ValueError(f"{path}: {error.strerror}") from error
            except (KeyError, TypeError) as error:
                raise ValueError(f"{path}: expected what a benchmark wrote, found none of its {error}") from error
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from error

    def all_machines(self):
        """What every file says of its machine, files of C++ programs first."""
        files = [*self.kernels.values(), *self.streams.values(), *self.steps.values(), *(data for data, _ in self.compare.values())]
        return [data["machine"] for data in files + [data for data in (self.compile, self.startup) if data]]


def speed(row, times=None):
    """GFLOP/s by the fastest run, of ctnn or of a peer's times."""
    return 1e-9 * row["flops"] / (times or row)["seconds_fastest"]


def share(row, times=None):
    """The speed as a share of the multiply-adds that ran in turn with the layer."""
    return speed(row, times) / row["peak_gflops"]


def read_share(row, data):
    """Of the bandwidth of reading memory: by as many bytes read in turn with the layer, where that was timed, or else by
    the fastest run and the best bandwidth seen."""
    if "seconds_reading_p10" in row:
        return row["seconds_reading_p10"] / row["seconds_p10"]
    return 1e-9 * row["bytes"] / row["seconds_fastest"] / data["limits"]["read_gbytes"]


def ratio(row, peer):
    """A peer's time to ctnn's, of the tenth percentiles."""
    return row["peers"][peer]["seconds_p10"] / row["seconds_p10"]


def mean(ratios):
    """Geometric."""
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def title(row):
    return f"{row['layer']} {row['direction']}"


def on_threads(threads):
    return f"{threads} thread{'' if threads == 1 else 's'}"
