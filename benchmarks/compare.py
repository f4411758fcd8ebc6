#!/usr/bin/env python3
"""Training steps and inferences of ctnn and PyTorch in turn, on equal threads, in short rounds.

All programs stay alive and time one pass at a time on request, so neither their start nor another program's load on
the machine falls on one of them alone. The first round does not count. The ratio is PyTorch's time, in the better of
its two memory formats, over ctnn's, each by the tenth percentile of its runs.
"""

import argparse
import os
import subprocess
import sys
import time

from common import HERE, check_writable, fail, machine, write_figures

# ctnn's networks: what they are called in pytorch.py, the batch, and the share of the rounds that their length allows.
NETWORKS = {
    "SmallAlexNet": ("SmallAlexNet", 128, 1.0),
    "SmallAlexNetWinograd": ("SmallAlexNet", 128, 1.0),
    "AlexNet32": ("AlexNet32", 128, 1.0),
    "AlexNetLrn": ("AlexNetLrn", 16, 0.3),
    "AlexNetBn": ("AlexNetBn", 16, 0.3),
}
PASSES = ("train", "infer", "infer_one")
RUNS = {"train": 1, "infer": 2, "infer_one": 10}  # per round: short passes need some runs to find their caches again


class Server:
    """A program that answers "<pass> <count>" with times in milliseconds."""

    def __init__(self, command):
        self.command = command
        try:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        except OSError as error:
            fail(f"cannot run {command[0]}: {error.strerror}")
        self.greeting = self.process.stdout.readline().strip()

    def times(self, what, count):
        time.sleep(0.05)  # threads of the program that ran before may spin for a while yet
        self.process.stdin.write(f"{what} {count}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        if len(answer) != count:
            fail(f"{self.command[0]} stopped: {count} times of {what} asked, {len(answer)} given")
        return [float(t) for t in answer]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def low(times):
    """The tenth percentile."""
    return sorted(times)[(len(times) - 1) // 10]


def compare(network, options):
    theirs, batch, share = NETWORKS[network]
    batch, rounds = options.batch or batch, max(1, round(share * options.rounds))
    common = ["--threads", str(options.threads), "--batch", str(batch), "--serve"]
    pytorch = [options.python, str(HERE / "peers" / "pytorch.py"), "--network", theirs]
    servers = {"ctnn": Server([options.bench, "steps", "--filter", network, *common])}
    for memory_format in ("contiguous", "channels_last"):
        servers[memory_format] = Server([*pytorch, "--format", memory_format, *common])
    try:
        for server in servers.values():
            if server.greeting.startswith("skipped"):
                print(server.greeting)
                sys.exit(0)
            if not server.greeting.startswith("ready "):
                fail(f"{' '.join(server.command)} did not start")
        times = {what: {name: [] for name in servers} for what in PASSES}
        for round_ in range(rounds + 1):
            for what in PASSES:
                for name, server in servers.items():
                    new = server.times(what, RUNS[what])
                    if round_ > 0:
                        times[what][name] += new
    finally:
        for server in servers.values():
            server.close()

    figures = []
    for what in PASSES:
        by_name = {name: low(t) for name, t in times[what].items()}
        peer = min(("contiguous", "channels_last"), key=by_name.get)
        fastest = min(times[what][peer]) / min(times[what]["ctnn"])
        ratio = by_name[peer] / by_name["ctnn"]
        print(f"{network:20} {what:10} ctnn {by_name['ctnn']:9.3f} ms   PyTorch {by_name[peer]:9.3f} ms ({peer})"
              f"   ratio {ratio:5.2f} (of the fastest runs {fastest:5.2f})", flush=True)
        figures.append({"network": network, "pass": what, "batch": 1 if what == "infer_one" else batch,
                        "ctnn_ms": by_name["ctnn"], "pytorch_ms": by_name[peer], "pytorch_format": peer,
                        "ratio_p10": ratio, "ratio_fastest": fastest, "runs": len(times[what]["ctnn"])})
    return figures, [servers[name].greeting.removeprefix("ready ") for name in ("ctnn", "contiguous")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", help="the program ctnn_bench")
    parser.add_argument("--network", action="append", choices=NETWORKS, help="only this one")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="(all)")
    parser.add_argument("--batch", type=int, default=0, help="images (each network's own)")
    parser.add_argument("--rounds", type=int, default=30, help="(30)")
    parser.add_argument("--python", default="/usr/bin/python3",
                        help="an interpreter that has PyTorch (/usr/bin/python3)")
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    options = parser.parse_args()
    check_writable(options.json)
    for name in ("threads", "rounds"):
        if getattr(options, name) < 1:
            fail(f"--{name}: found {getattr(options, name)}, expected at least 1")

    print(f"{options.threads} threads, {options.rounds} rounds, tenth percentiles", flush=True)
    figures, programs = [], []
    for network in options.network or NETWORKS:
        rows, programs = compare(network, options)
        figures += rows
    write_figures(options.json, {"benchmark": "compare", "machine": machine(), "threads": options.threads,
                                 "rounds": options.rounds, "programs": programs, "compare": figures})


if __name__ == "__main__":
    main()
