#!/usr/bin/env python3
"""Measures layers that ctnn_bench was not compiled for: compiles a program for them and runs it.

    benchmarks/problem.py mb32ic64ih14oc192kh5ph2 --threads 1
    benchmarks/problem.py mb128g2ic96ih27oc256kh5ph2 mb1ic2048oc1000 --dir fwd --json grouped.json

Problems are in the notation of oneDNN's benchdnn: mb batch, g groups (1), ic and oc channels, ih and iw the input (1),
oh and ow the output (what follows), kh and kw the kernel (1), sh and sw the stride (1), ph and pw the padding (0, or what
oh asks for); a width is by default what the height is, and without ih the layer is a linear one. _winograd behind a
convolution asks for that algorithm. Options come behind the problems and go to the program: see `ctnn_bench --help`. It
is built in build/bench.
"""

import argparse
import os
import re
import subprocess
import sys

from common import ROOT, fail

BUILD = str(ROOT / "build" / "bench")


def run(*command):
    """Runs a command whose output matters only where it fails."""
    result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if result.returncode != 0:
        sys.stdout.write(result.stdout)
        fail(f"{command[0]} failed; the reason is above")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problem", nargs="+", help="for example mb128ic64ih8oc128kh3ph1")
    parser.add_argument("option", nargs=argparse.REMAINDER, help="of `ctnn_bench kernels`")
    arguments = parser.parse_args()
    for problem in arguments.problem:
        if not re.fullmatch(r"[a-z0-9_]+", problem):
            fail(f"problem {problem}: expected small letters, digits and _")
    run("cmake", "-B", BUILD, "--preset", "release", "-DCTNN_TESTS=OFF", "-DCTNN_EXAMPLES=OFF", "-DCTNN_WERROR=OFF",
        f"-DCTNN_BENCH_PROBLEMS={';'.join(arguments.problem)}")
    run("cmake", "--build", BUILD, "--target", "ctnn_problem")
    program = os.path.join(BUILD, "benchmarks", "ctnn_problem")
    os.execv(program, [program, "kernels", *arguments.problem, *arguments.option])


if __name__ == "__main__":
    main()
