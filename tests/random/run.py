#!/usr/bin/env python3
"""Checks random networks: run.py [--count N] [--seed S] [--compiler C] [-- the compiler's further options].

Draws the networks of the seeds S, S + 1, …, builds them as one program in a temporary folder, and checks of each:

  - gradients of parameters and input against differences in double, by the library's own checker and its tolerance, fused and not
  - outputs and gradients in float against PyTorch, where it is there (Debian: python3-torch, for /usr/bin/python3)
  - that 1, 2 and 3 threads give the same bits

Ends in a summary; a network that fails is named by its type and by the seed that makes it again.
"""

import argparse
import collections
import concurrent.futures
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path[:0] = [HERE] + [os.path.join(TESTS, folder) for folder in ("golden", "pytorch")]
import generate  # noqa: E402
import safetensors  # noqa: E402

try:
    import torch

    import compare
except ImportError:
    torch = None


def build(networks, folder, compiler, flags):
    """Compiles and links the program. Raises CalledProcessError with the compiler's message."""
    for name, text in generate.sources(networks).items():
        with open(os.path.join(folder, name), "w") as file:
            file.write(text)
    command = [compiler, "-std=c++20", "-O1", "-march=native", "-fopenmp", "-I", TESTS, "-I", os.path.join(TESTS, "../include"),
               *flags]

    def run(*arguments):
        subprocess.run([*command, *arguments], cwd=folder, check=True, stderr=subprocess.PIPE, text=True)

    files = [name for name in os.listdir(folder) if name.endswith(".cpp")]
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(lambda name: run("-c", name), files))
    run("-o", "networks", *(name.replace(".cpp", ".o") for name in files), "-lfmt")
    return os.path.join(folder, "networks")


class Figures:
    """What all networks' checks add up to."""

    def __init__(self):
        self.checked = self.significant = self.redrawn = self.tensors = 0
        self.difference = self.error = 0.0
        self.error_at = "none"

    def check(self, program, folder, network):
        """Checks a network. Raises RuntimeError that says what is wrong."""
        expected = compare.Expected(network, folder) if torch else None
        ran = subprocess.run([program, str(network.seed), folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for fusion, line in zip(["fused", "unfused"], ran.stdout.splitlines()):
            checked, significant, redrawn, worst, failure = line.split(" ", 4)
            self.checked += int(checked)
            self.significant += int(significant)
            self.redrawn += int(redrawn)
            self.difference = max(self.difference, float(worst))
            if failure:
                raise RuntimeError(f"{fusion}, differences: {failure}")
        if ran.returncode != 0:
            raise RuntimeError(f"the program ended with {ran.returncode}: {ran.stderr.strip()}")
        path = lambda threads: os.path.join(folder, f"{network.seed}_{threads}.safetensors")
        one, _ = safetensors.read(path(1))
        for threads in (2, 3):
            many, _ = safetensors.read(path(threads))
            differing = [key for key in one if many.get(key) != one[key]]
            if differing:
                raise RuntimeError(f"{threads} threads give other bits than one in {differing}")
        for key, error in expected.compare(safetensors.load_file(path(1))) if torch else []:
            self.tensors += 1
            if not error <= compare.TOLERANCE:
                raise RuntimeError(f"PyTorch: {key}: an error of {error:.1e} of its largest number, expected at most "
                                   f"{compare.TOLERANCE}")
            if error > self.error:
                self.error, self.error_at = error, f"{key}, seed {network.seed}"


def main():
    parser = argparse.ArgumentParser(description="Checks random networks against differences and PyTorch.")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("flags", nargs="*", help="further options of the compiler")
    options = parser.parse_args()
    networks = [generate.draw(options.seed + i) for i in range(options.count)]
    figures, failures = Figures(), 0
    with tempfile.TemporaryDirectory() as folder:
        try:
            program = build(networks, folder, options.compiler, options.flags)
        except subprocess.CalledProcessError as error:
            sys.exit(f"a network does not compile:\n{error.stderr[:4000]}")
        for network in networks:
            try:
                figures.check(program, folder, network)
            except RuntimeError as error:
                failures += 1
                print(f"FAILED: {error}\n  batch {network.batch}, {network.type}\n  again: run.py --count 1 --seed {network.seed}",
                      flush=True)

    kinds = collections.Counter()
    for layer in (layer for network in networks for layer in network.layers):
        kinds.update([layer.kind, *(f"{layer.kind} {mark}" for mark in layer.marks)])
    print(f"{options.count} networks from seed {options.seed}, {failures} failed: "
          + ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items())))
    print(f"differences: {figures.checked} derivatives, {figures.significant} far above rounding, {figures.redrawn} drawn anew at "
          f"a kink; the largest error {figures.difference:.2f} of what is allowed")
    if torch:
        print(f"PyTorch: {figures.tensors} tensors; the largest error {figures.error:.1e} of a tensor's largest number "
              f"({figures.error_at})")
    else:
        print("PyTorch: skipped, it was not found (Debian: python3-torch, for /usr/bin/python3)")
    print("threads: 1, 2 and 3 compared to the bit")
    sys.exit(1 if failures else 0)


main()
