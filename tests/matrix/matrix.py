#!/usr/bin/env python3
"""Builds and runs one short training by every compiler, language, library and instruction set that is there.

Prints a table in Markdown: whether it builds without warnings, whether its bits are the same by 1, 2 and 4 threads and a
second time, which rows have the same bits (a letter each), and how far the parameters are from the first row's after four
steps and after twenty. Rows whose compiler, library or processor is missing are named and left out. The exit status says
whether all others are as they must be.

  tests/matrix/matrix.py            all rows
  tests/matrix/matrix.py --quick    those that no other test builds
"""

import argparse
import array
import dataclasses
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]
GCC, CLANG = "g++", "clang++-19"
AARCH64, I686 = "aarch64-linux-gnu-g++", "i686-linux-gnu-g++"
NATIVE = ["-O2", "-march=native", "-fopenmp"]
LIBCXX = ["-stdlib=libc++"]
# Every multiplication and addition rounded by itself, so that levels of optimisation cannot differ.
EXACT = ["-march=native", "-fopenmp", "-ffp-contract=off"]


# Of the largest number: some hundred times what rounding was seen to make of four steps. Later a ReLU or a max pool may
# fall to the other side, which is no rounding any more: what twenty steps make is shown, and has no bound.
MOST = 1e-5


@dataclasses.dataclass
class Row:
    compiler: str
    flags: list
    quick: bool = False
    run_by: str = ""         # an emulator
    same_as: str = ""        # the name of an earlier row whose bits it must have
    name: str = ""
    other: list = dataclasses.field(default_factory=list)  # flags of a second copy for another instruction set


ROWS = [
    Row(GCC, NATIVE),
    Row(GCC, ["-O3", *NATIVE[1:]]),
    Row(GCC, ["-std=c++23", *NATIVE], quick=True),
    Row(GCC, NATIVE[:-1], quick=True),
    Row(GCC, [*NATIVE, "-fno-exceptions", "-fno-rtti"]),
    Row(GCC, ["-O2", *EXACT], quick=True, name="GCC exact"),
    Row(GCC, ["-O3", *EXACT], same_as="GCC exact"),
    Row(GCC, ["-O1", *EXACT], quick=True, same_as="GCC exact"),
    Row(CLANG, NATIVE),
    Row(CLANG, ["-O3", *NATIVE[1:]]),
    Row(CLANG, ["-std=c++23", *NATIVE]),
    Row(CLANG, [*NATIVE, *LIBCXX]),
    Row(CLANG, ["-std=c++23", *NATIVE, *LIBCXX], quick=True),
    Row(CLANG, [*NATIVE, "-fno-exceptions", "-fno-rtti"]),
    Row(CLANG, ["-O2", *EXACT], name="Clang exact"),
    Row(CLANG, ["-O3", *EXACT], same_as="Clang exact"),
    Row(GCC, ["-O2", "-march=x86-64", "-fopenmp"]),
    Row(GCC, ["-O2", "-march=x86-64-v2", "-fopenmp"]),
    Row(GCC, ["-O2", "-march=x86-64-v3", "-fopenmp"]),
    Row(GCC, ["-O2", "-march=x86-64-v4", "-fopenmp"]),
    Row(GCC, [*NATIVE, "-DCTNN_FORCE_SCALAR"]),
    Row(CLANG, ["-O2", "-march=x86-64", "-fopenmp"]),
    Row(CLANG, ["-O2", "-march=x86-64-v3", "-fopenmp"]),
    Row(CLANG, ["-O2", "-march=x86-64-v4", "-fopenmp"]),
    # The linker must not take one's kernels for the other's.
    Row(GCC, ["-O2", "-march=x86-64-v3", "-fopenmp"], quick=True, other=["-O2", "-march=x86-64", "-fopenmp"]),
    Row(GCC, ["-O2", "-march=x86-64-v4", "-fopenmp"], other=["-O2", "-march=x86-64-v3", "-fopenmp"]),
    Row(AARCH64, ["-O2", "-fopenmp", "-static"], run_by="qemu-aarch64"),
    Row(I686, ["-O2", "-fopenmp", "-static"], quick=True),
    Row(I686, ["-O2", "-msse2", "-mfpmath=sse", "-fopenmp", "-static"]),
    Row(I686, ["-O2", "-march=haswell", "-mfpmath=sse", "-fopenmp", "-static"]),
]


class Missing(Exception):
    pass


def call(command):
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        message = (result.stderr or result.stdout).strip().splitlines()
        if message and message[0].startswith("ctnn: found a processor without"):
            raise Missing(message[0])
        raise RuntimeError(f"status {result.returncode}: {message[0] if message else ''}")
    return result.stdout


def standard(flags):
    return flags if any(flag.startswith("-std=") for flag in flags) else ["-std=c++20", *flags]


def check_there(row, folder):
    """That compiler, library and emulator are there is tried by a program without ctnn."""
    for program in filter(None, (row.compiler, row.run_by)):
        if shutil.which(program) is None:
            raise Missing(f"{program} is not installed")
    source = folder / "there.cpp"
    source.write_text("#include <vector>\nint main() { return static_cast<int>(std::vector<int>{}.size()); }\n", "utf-8")
    if subprocess.run([row.compiler, *row.flags, source, "-o", folder / "there"], capture_output=True).returncode != 0:
        raise Missing("its library is not installed")


def build(row, folder):
    # fmt as a header, because Debian has its library for one processor and one standard library only; headers in a
    # folder of links, because /usr/include itself must not come before a cross-compiler's.
    headers = folder / "headers"
    headers.mkdir(exist_ok=True)
    for name in "fmt", "xsimd":
        if not (headers / name).exists():
            (headers / name).symlink_to(pathlib.Path("/usr/include") / name)
    common = [f"-I{ROOT / 'include'}", "-isystem", headers, "-DFMT_HEADER_ONLY", *WARNINGS]
    objects = []

    def compile_file(name, flags, *defines):
        objects.append(folder / f"{len(objects)}.o")
        call([row.compiler, *standard(flags), *common, *defines, "-c", HERE / name, "-o", objects[-1]])

    compile_file("steps.cpp", row.flags)
    if row.other:
        compile_file("steps.cpp", row.other, "-DCTNN_STEPS=other_steps")
    compile_file("main.cpp", row.other or row.flags, *(["-DCTNN_OTHER_STEPS=other_steps"] if row.other else []))
    program = folder / "program"
    call([row.compiler, *row.flags, *objects, "-o", program])
    return program


def numbers(path):
    return array.array("f", path.read_bytes())


def spreads(found, expected):
    """Largest differences after four steps and after the last, as shares of the largest number."""
    half = len(expected) // 2
    return [max(abs(a - b) for a, b in zip(found[part], expected[part])) / max(map(abs, expected[part]))
            for part in (slice(half), slice(half, None))]


def check(row, seen, folder):
    """The columns behind compiler and options. `seen` has the numbers of earlier rows, by letters and names."""
    check_there(row, folder)
    program = build(row, folder)
    path = folder / "numbers"
    isa, loss, same = call([*filter(None, [row.run_by]), program, path]).splitlines()[-1].split()
    if same != "same":
        raise RuntimeError("bits depend on the number of threads, or on the run")
    found = numbers(path)
    letters = seen.setdefault("letters", [])
    if found not in letters:
        letters.append(found)
    if row.name:
        seen[row.name] = found
    if row.same_as and row.same_as in seen and found != seen[row.same_as]:
        raise RuntimeError(f"not the bits of {row.same_as}")
    letter, (early, late) = chr(ord("A") + letters.index(found)), spreads(found, letters[0])
    if not early <= MOST:
        raise RuntimeError(f"differs by {early:.1e} from the first row after four steps, more than {MOST} of rounding")
    return f"{isa} | {float(loss):.6f} | {letter} | {early:.1e} | {late:.1e}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only what no other test builds")
    options = parser.parse_args()
    print("| compiler | options | built for | last loss | bits | after 4 steps | after 20 |")
    print("| --- | --- | --- | ---: | --- | ---: | ---: |")
    seen, failed, missing = {}, [], []
    for row in ROWS:
        if options.quick and not row.quick:
            continue
        title = f"{row.compiler} | `{' '.join(row.flags)}`" + (f" with `{' '.join(row.other)}`" if row.other else "")
        with tempfile.TemporaryDirectory() as folder:
            try:
                print(f"| {title} | {check(row, seen, pathlib.Path(folder))} |", flush=True)
            except Missing as reason:
                missing.append(f"{title}: {reason}")
            except RuntimeError as error:
                failed.append(f"{title}: {error}")
                print(f"| {title} | **failed** | | | | |", flush=True)
    for line in missing:
        print(f"left out: {line}", file=sys.stderr)
    for line in failed:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
