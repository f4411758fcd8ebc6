#!/usr/bin/env python3
"""check.py runs|refused|either QEMU CPU PROGRAM...: runs the program on an emulated processor.

It must run, or end in one line and a status, or do either as it was compiled; it may never die of an instruction.
"""
import re
import subprocess
import sys

expected, qemu, cpu, *program = sys.argv[1:]
result = subprocess.run([qemu, "-cpu", cpu, *program], capture_output=True, text=True, timeout=300, check=False)
errors = "".join(line for line in result.stderr.splitlines(True) if not line.startswith("qemu-x86_64: warning"))
refusal = r"ctnn: found a processor without \w[\w.]*(, \w[\w.]*)*, expected one that has what this program was compiled for"
runs = result.returncode == 0 and result.stdout and not errors
refused = result.returncode == 1 and not result.stdout and re.fullmatch(refusal + r" \(-march\)\n", errors)
if not {"runs": runs, "refused": refused, "either": runs or refused}[expected]:
    sys.exit(f"expected: {expected}, found: status {result.returncode}\n{result.stdout}{result.stderr}")
