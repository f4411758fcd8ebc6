#!/usr/bin/env python3
"""What compiling costs: seconds, peak memory and sizes of the main programs, by each compiler that is there.

The time is that of making the object file; the size of the program is what linking with fmt leaves. xsimd and fmt must
be where compilers look; CXXFLAGS adds to the flags.
"""

import argparse
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile
import time

from common import ROOT, check_writable, fail, machine, write_figures

FLAGS = ["-std=c++20", "-O3", "-march=native", "-fopenmp"]
COMPILERS = ("g++", "clang++-19")
PROGRAMS = {  # name: source, where it finds ctnn, whether it is a whole program, flags of its own
    "the header alone": ("benchmarks/compile_time/header.cpp", "single_include", False),
    "hello": ("examples/01_hello.cpp", "single_include", True),
    "train SmallAlexNet": ("benchmarks/compile_time/train_small_alexnet.cpp", "single_include", True),
    "infer SmallAlexNet": ("benchmarks/compile_time/infer_small_alexnet.cpp", "single_include", True),
    "infer, headers apart": ("benchmarks/compile_time/infer_small_alexnet.cpp", "include", True, "-DCTNN_HEADERS_APART"),
    "alexnet's SmallAlexNet": ("examples/alexnet/networks/small.cpp", "include", False),
}


def version(compiler):
    """For example "GCC 12.2.0" or "Clang 19.1.7"."""
    line = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    number = re.search(r"\d+\.\d+(\.\d+)?", line.split(")")[-1] if "clang" not in line else line)
    return ("Clang " if "clang" in line else "GCC ") + (number.group() if number else "of unknown version")


def run(command):
    """Runs a command to its end: elapsed and user seconds, peak memory in bytes of the largest of its processes."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as messages:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, stderr=messages)
        _, status, usage = os.wait4(process.pid, 0)
        elapsed = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            messages.seek(0)
            first = next((line for line in messages if "error" in line), f"status {process.returncode}").strip()
            fail(f"{shlex.join(command)}: {first}")
    return elapsed, usage.ru_utime, usage.ru_maxrss * 1024  # Linux counts kibibytes


def measure(name, compiler, repeats, folder):
    source, headers, whole, *flags = PROGRAMS[name]
    binary = pathlib.Path(folder, "program")
    command = [compiler, *FLAGS, *shlex.split(os.environ.get("CXXFLAGS", "")), f"-I{headers}", *flags]
    runs = [run([*command, "-c", source, "-o", f"{binary}.o"]) for _ in range(repeats)]
    elapsed, user, peak = min(runs)
    if whole:
        run([*command, f"{binary}.o", "-o", str(binary), "-lfmt"])
    return {"program": name, "source": source, "compiler": version(compiler), "elapsed_seconds": elapsed,
            "user_seconds": user, "peak_bytes": peak, "object_bytes": os.path.getsize(f"{binary}.o"),
            "program_bytes": binary.stat().st_size if whole else None}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiler", action="append",
                        help=f"only this one; else of {' and '.join(COMPILERS)} what is there")
    parser.add_argument("--program", action="append", choices=PROGRAMS, help="only this one")
    parser.add_argument("--repeats", type=int, default=1, help="the fastest of so many runs counts (1)")
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    options = parser.parse_args()
    check_writable(options.json)
    compilers = options.compiler or [c for c in COMPILERS if shutil.which(c)]
    for compiler in compilers:
        if not shutil.which(compiler):
            fail(f"--compiler: found no program '{compiler}'")
    if options.repeats < 1 or not compilers:
        fail("--repeats: expected at least 1" if compilers else f"found no compiler, expected {' or '.join(COMPILERS)}")

    print(f"{'program':24}{'compiler':16}{'elapsed s':>10}{'user s':>8}{'peak MB':>9}{'object kB':>11}"
          f"{'program kB':>12}", flush=True)
    figures = []
    for name in options.program or PROGRAMS:
        for compiler in compilers:
            with tempfile.TemporaryDirectory() as folder:
                row = measure(name, compiler, options.repeats, folder)
            size = f"{row['program_bytes'] / 1e3:.0f}" if row["program_bytes"] else ""
            print(f"{name:24}{row['compiler']:16}{row['elapsed_seconds']:10.1f}{row['user_seconds']:8.1f}"
                  f"{row['peak_bytes'] / 1e6:9.0f}{row['object_bytes'] / 1e3:11.0f}{size:>12}".rstrip(), flush=True)
            figures.append(row)
    write_figures(options.json, {"benchmark": "compile", "machine": machine(), "flags": " ".join(FLAGS),
                                 "compile": figures})


if __name__ == "__main__":
    main()
