#!/usr/bin/env python3
"""Compiles a wrong program and reads what the compiler says: check.py COMPILER [FLAG...] FILE.

It must fail with exactly one line that has 'error:' in it, and that line must hold every piece that FILE names in a
line `// EXPECT: piece`, in this order. The pieces are looked for one by one because the compiler prints a sentence as
a row of short arrays.
"""
import pathlib
import subprocess
import sys


def verdict(failed: bool, output: str, pieces: list[str]) -> str:
    """What is wrong, in one line; empty where nothing is."""
    if not pieces:
        return "the file has no line that begins with '// EXPECT: '"
    if not failed:
        return "it compiles, but should not"
    errors = [line for line in output.splitlines() if "error:" in line]
    if len(errors) != 1:
        return f"{len(errors)} lines with 'error:', expected 1"
    at = 0
    for piece in pieces:
        found = errors[0].find(piece, at)
        if found < 0:
            return f"the error does not say '{piece}'" + (" there" if at else "")
        at = found + len(piece)
    return ""


def main() -> int:
    command, path = sys.argv[1:], pathlib.Path(sys.argv[-1])
    mark = "// EXPECT: "
    pieces = [line.removeprefix(mark) for line in path.read_text("utf-8").splitlines() if line.startswith(mark)]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    wrong = verdict(run.returncode != 0, run.stdout, pieces)
    if wrong:
        print(f"{path.name}: {wrong}\n{run.stdout}", end="")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
