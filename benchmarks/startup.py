#!/usr/bin/env python3
"""Time from the start of `alexnet predict` to its first prediction, with a safetensors file and with a native one.

AlexNetLrn, 58 million parameters, on one picture. Weights are random: no time depends on them. Runs take turns:

  cold   the system's cache has nothing of the weights' file (posix_fadvise, POSIX_FADV_DONTNEED): they come from the disk,
         or from what a virtual machine's host still has of it. Reading the file once tells what the disk alone takes.
  warm   the file was read just before, and is in that cache.
"""

import argparse
import os
import pathlib
import random
import statistics
import struct
import subprocess
import sys
import time

from common import ROOT, fail, machine, write_figures

sys.path.insert(0, str(ROOT / "tests" / "golden"))
import safetensors  # noqa: E402

# AlexNetLrn's weights, by the layers' numbers; each has a bias.
SHAPES = {0: [96, 3, 11, 11], 4: [256, 96, 5, 5], 8: [384, 256, 3, 3], 10: [384, 384, 3, 3], 12: [256, 384, 3, 3],
          17: [4096, 9216], 20: [4096, 4096], 22: [10, 4096]}


def write_weights(path):
    chance = random.Random(1)
    some = struct.pack("<4096f", *(chance.gauss(0, 0.01) for _ in range(4096)))
    tensors = {}
    for layer, shape in SHAPES.items():
        for name, dims in ("weight", shape), ("bias", shape[:1]):
            size = 4
            for n in dims:
                size *= n
            tensors[f"{layer}.{name}"] = safetensors.Tensor("F32", dims, (some * (size // len(some) + 1))[:size])
    safetensors.write(path, tensors, {"model": "AlexNetLrn<>"})


def write_picture(path):
    path.write_bytes(b"P6 227 227 255\n" + random.Random(2).randbytes(3 * 227 * 227))


def read_all(path):
    buffer = bytearray(1 << 20)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def drop_from_cache(path):
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)  # what is not on the disk yet would stay
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def timed(work):
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)


def first_prediction(command):
    """Milliseconds until the first row of CSV behind its heading is there."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        row = process.stdout.readline()
        milliseconds = 1e3 * (time.perf_counter() - start)
        process.stdout.read()
    if process.returncode != 0 or not row:
        fail(f"{' '.join(map(str, command))}: found status {process.returncode}, expected 0 and a prediction")
    return milliseconds


def measure(options):
    """Milliseconds of every round, by what was measured."""
    folder = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    weights, native, picture = folder / "lrn.safetensors", folder / "lrn.native", folder / "picture.ppm"
    write_weights(weights)
    write_picture(picture)
    subprocess.run([options.alexnet, "convert", "--weights", weights, "--to-native", native], check=True)
    predict = lambda path: first_prediction([options.alexnet, "predict", "--weights", path, "--image", picture, "--csv", "-",
                                             "--threads", str(options.threads)])
    times = {}
    add = lambda what, milliseconds: times.setdefault(what, []).append(milliseconds)
    for _ in range(options.rounds):
        add("alexnet --version", timed(lambda: subprocess.run([options.alexnet, "--version"], stdout=subprocess.DEVNULL)))
        for name, path in ("safetensors", weights), ("native", native):
            drop_from_cache(path)
            add(f"reading the {name} file, cold", timed(lambda: read_all(path)))
            drop_from_cache(path)
            add(f"{name}, cold", predict(path))
            read_all(path)
            add(f"{name}, warm", predict(path))
    for path in weights, native, picture:
        path.unlink()
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("alexnet", type=pathlib.Path, help="the program, built with the network lrn")
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "build" / "startup",
                        help="for half a gigabyte of files, on the disk to be measured (build/startup)")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=machine()["cores"])
    parser.add_argument("--json", type=pathlib.Path, help="write the figures to this file")
    options = parser.parse_args()
    options.alexnet = options.alexnet.resolve()
    if options.rounds < 1 or not options.alexnet.is_file():
        parser.error("expected at least one round, and the program's file")

    times = measure(options)
    print(f"{machine()['processor']}, {options.threads} threads, {options.rounds} rounds; milliseconds\n")
    print("| | fastest | tenth percentile | median |\n| --- | ---: | ---: | ---: |")
    for what, values in times.items():
        values.sort()
        print(f"| {what} | {values[0]:.0f} | {values[len(values) // 10]:.0f} | {statistics.median(values):.0f} |")
    write_figures(options.json, {"benchmark": "startup", "machine": machine(), "threads": options.threads, "milliseconds": times})


main()
