#!/usr/bin/env python3
"""Measures trainings by ranks, and draws what alexnet scale says of more of them, for docs/scaling.md.

    benchmarks/scaling.py ALEXNET [--rounds 3] [--json FILE] [--svg FILE]

All take turns, --rounds times, and the fastest epoch of each counts: one rank with one thread and with two, two ranks with
one thread; then two hosts of one rank and thread each, network namespaces of this machine whose links have the bandwidth
that is said (benchmarks/hosts.sh, which needs root), beside what alexnet scale makes of that bandwidth. Needs two cores
with nothing else to do, mpirun, and for the drawing matplotlib.
"""
import argparse
import json
import os
import pathlib
import subprocess
import tempfile

from common import HERE, fail, machine, write_figures

ENVIRONMENT = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
LATENCY = 30  # microseconds; what is taken for a message between two namespaces
# Network, images in a rank's batch, batches in an epoch.
PROBLEMS = (("small", 128, 16), ("small", 16, 64), ("alexnet32", 128, 8))
GBIT = (1, 10)


def train(alexnet, launcher, model, batch, batches, threads):
    """Milliseconds of a step, in the faster of two epochs."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*launcher, alexnet, "train", "--dataset", "synthetic", "--model", model, "--batch-size", str(batch),
                   "--limit-train", str(batch * batches), "--epochs", "2", "--threads", str(threads), "--no-report",
                   "--no-tensorboard", "--out", f"{folder}/run"]
        run = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)
        if run.returncode != 0:
            fail(f"{' '.join(command)}: {run.stderr}")
        rows = pathlib.Path(folder, "run", "metrics.csv").read_text("utf-8").splitlines()
        names = rows[0].split(",")
        rates = [float(row.split(",")[names.index("images_per_second")]) for row in rows[1:]]
    return 1e3 * batch / max(rates)


def modelled(alexnet, model, batch, gbit, ranks, latency=LATENCY):
    command = [alexnet, "scale", "--model", model, "--batch-size", str(batch), "--threads", "1", "--bandwidth", str(gbit),
               "--latency", str(latency), "--ranks", ",".join(map(str, ranks)), "--json"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def measure(alexnet, rounds):
    ranks = ["mpirun", "--bind-to", "none", "-np", "2"]
    figures = []
    for model, batch, batches in PROBLEMS:
        # What is trained by: the launcher, the images in all, a rank's threads.
        ways = {"1 rank, 1 thread": ([], batch, 1), "1 rank, 2 threads": ([], 2 * batch, 2), "2 ranks": (ranks, 2 * batch, 1)}
        for gbit in GBIT:
            ways[f"2 hosts, {gbit} Gbit/s"] = ([str(HERE / "hosts.sh"), "2", str(gbit)], 2 * batch, 1)
        best, models = {}, {}
        for _ in range(rounds):
            for way, (launcher, images, threads) in ways.items():
                step = train(alexnet, launcher, model, images, batches, threads)
                best[way] = min(step, best.get(way, step))
            for gbit in GBIT:
                found = modelled(alexnet, model, batch, gbit, [2])
                if gbit not in models or found["step_alone_ms"] < models[gbit]["step_alone_ms"]:
                    models[gbit] = found
        figures.append({"model": model, "batch": batch, "steps_ms": best, "bytes": models[GBIT[0]]["bytes"],
                        "modelled": {gbit: found["rows"][0] for gbit, found in models.items()}})
        print(model, batch)
        for way, step in best.items():
            print(f"  {way:20} {step:8.1f} ms")
        for gbit, found in models.items():
            row = found["rows"][0]
            print(f"  as modelled, {gbit:2} Gbit/s  {row['step_ms']:5.1f} ms, without overlap {row['step_without_overlap_ms']:.1f}")
    return figures


def draw(alexnet, path):
    import matplotlib
    matplotlib.use("svg")
    from matplotlib import pyplot
    ranks = [2 ** i for i in range(11)]
    figure, axes = pyplot.subplots(1, 2, sharey=True, figsize=(7.4, 3), layout="constrained")
    for axis, gbit, latency in zip(axes, (10, 100), (20, 2)):
        for model, batch in (("small", 128), ("alexnet32", 128), ("bn", 64)):
            found = modelled(alexnet, model, batch, gbit, ranks, latency)
            line = [100 * found["step_alone_ms"] / row["step_ms"] for row in found["rows"]]
            apart = [100 * found["step_alone_ms"] / row["step_without_overlap_ms"] for row in found["rows"]]
            drawn, = axis.plot(ranks, line, label=f"{model}, {batch} images")
            axis.plot(ranks, apart, color=drawn.get_color(), linestyle=":", linewidth=1)
        axis.set_xscale("log", base=2)
        axis.set_title(f"{gbit} Gbit/s, {latency} microseconds", fontsize="medium")
        axis.set_xlabel("ranks")
        axis.set_ylim(0, 105)
    axes[0].set_ylabel("efficiency, %")
    axes[0].legend(loc="lower left", fontsize="small")
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("alexnet")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--svg", type=pathlib.Path)
    options = parser.parse_args()
    write_figures(options.json, {**machine(), "scaling": measure(options.alexnet, options.rounds)})
    if options.svg:
        draw(options.alexnet, options.svg)


if __name__ == "__main__":
    main()
