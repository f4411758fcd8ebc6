#!/usr/bin/env python3
"""Trains and infers side by side for a long time, and fails where memory grows or, if asked, work slows down.

    tests/long/run.py ALEXNET SERVE [--seconds 3600] [--slowdown 1.2] [--csv FILE] [--svg FILE] [-- option of train...]

ALEXNET trains on one thread, by default SmallAlexNet on the synthetic images; SERVE is tests/long/serve.cpp, whose four
threads answer single images. A piece of work is an epoch, or a thousand answers. What comes before the third piece, or in
the first tenth of the time, is for warming up. Of what is left, the highest resident memory in the second half may be 1 MiB
above that in the first, and the processor time of a piece, by medians, as many times that in the first as --slowdown
says: processor time, because the machine may have other work. Goes on past the seconds until there are ten pieces of each.
"""
import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

MIB = 1 << 20


def resident(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"process {pid} has ended")


def processor_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100  # user and system, in ticks, of which Linux has 100 a second


class Watched:
    """A process whose memory is sampled, and whose work is counted."""

    def __init__(self, name, process):
        self.name, self.process = name, process
        self.memory = []  # (seconds since the start, bytes)
        self.work = []  # (seconds since the start, pieces done, seconds of processor time)

    def costs(self):
        """(seconds since the start, processor time of a piece), between every two reports."""
        return [(b[0], (b[2] - a[2]) / (b[1] - a[1])) for a, b in zip(self.work, self.work[1:]) if b[1] > a[1]]

    def check(self, seconds, most_slowdown):
        warm = max(seconds / 10, self.work[2][0])
        memory = [bytes_ for at, bytes_ in self.memory if at >= warm]
        costs = [cost for at, cost in self.costs() if at >= warm]
        first, second = halves(memory)
        growth = max(second) - max(first)
        slowdown = statistics.median(halves(costs)[1]) / statistics.median(halves(costs)[0])
        print(f"{self.name}: {self.work[-1][1]:.0f} pieces of work; {max(first) / MIB:.2f} MiB at most in the first half, "
              f"{max(second) / MIB:.2f} in the second, at {slowdown:.3f} times the processor time for a piece")
        if growth > MIB:
            raise RuntimeError(f"{self.name}: memory grew by {growth} bytes, more than {MIB}")
        if most_slowdown and slowdown > most_slowdown:
            raise RuntimeError(f"{self.name}: slowed down to {slowdown:.2f} times the processor time")


def halves(values):
    return values[:len(values) // 2], values[len(values) // 2:]


def read_answers(served, start):
    for line in served.process.stdout:
        answers, seconds = line.split()
        if int(answers) // 1000 > (served.work[-1][1] if served.work else 0):
            served.work.append((time.monotonic() - start, int(answers) / 1000, float(seconds)))


def draw(path, watched):
    import matplotlib
    matplotlib.use("svg")
    from matplotlib import pyplot
    figure, (memory, cost) = pyplot.subplots(2, 1, sharex=True, figsize=(7, 4.6), layout="constrained")
    for one in watched:
        memory.plot([at / 60 for at, _ in one.memory], [bytes_ / MIB for _, bytes_ in one.memory], label=one.name)
        costs = one.costs()
        first = statistics.median(value for _, value in costs)
        cost.plot([at / 60 for at, _ in costs], [value / first for _, value in costs], linewidth=0.8, label=one.name)
    memory.set_ylabel("resident memory, MiB")
    memory.set_ylim(bottom=0)
    memory.legend()
    cost.set_ylabel("processor time of a\npiece of work / median")
    cost.set_ylim(0, 2)
    cost.set_xlabel("minutes")
    figure.savefig(path)


def main():
    arguments = sys.argv[1:]
    more = []
    if "--" in arguments:
        more = arguments[arguments.index("--") + 1:]
        arguments = arguments[:arguments.index("--")]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("alexnet", type=pathlib.Path)
    parser.add_argument("serve", type=pathlib.Path)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--slowdown", type=float)
    parser.add_argument("--csv", type=pathlib.Path)
    parser.add_argument("--svg", type=pathlib.Path)
    options = parser.parse_args(arguments)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        train = subprocess.Popen([options.alexnet, "train", "--schedule", "constant", *(more or ["--dataset", "synthetic"]),
                                  "--epochs", "1000000", "--threads", "1", "--out", f"{folder}/run"],
                                 stdout=subprocess.DEVNULL)
        serve = subprocess.Popen([options.serve], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        watched = [Watched("training", train), Watched("inference", serve)]
        threading.Thread(target=read_answers, args=(watched[1], start), daemon=True).start()
        rows = pathlib.Path(folder, "run", "metrics.csv")
        try:
            while time.monotonic() - start < options.seconds or min(len(one.work) for one in watched) < 10:
                time.sleep(min(1.0, options.seconds / 100))
                at = time.monotonic() - start
                for one in watched:
                    one.memory.append((at, resident(one.process.pid)))
                epochs = rows.read_text("utf-8").count("\n") - 1 if rows.exists() else 0
                if epochs > (watched[0].work[-1][1] if watched[0].work else 0):
                    watched[0].work.append((at, epochs, processor_seconds(train.pid)))
        finally:
            train.terminate()
            serve.stdin.close()
            train.wait()
            serve.wait()
    if options.csv:
        lines = [f"{one.name},{at:.1f},{bytes_}" for one in watched for at, bytes_ in one.memory]
        options.csv.write_text("process,seconds,resident_bytes\n" + "\n".join(lines) + "\n", "utf-8")
    if options.svg:
        draw(options.svg, watched)
    for one in watched:
        one.check(options.seconds, options.slowdown)


if __name__ == "__main__":
    try:
        main()
    except RuntimeError as error:
        sys.exit(f"tests/long/run.py: {error}")
