#!/usr/bin/env python3
"""Runs a program: check.py [--needs PATH] STATUS REGEX PROGRAM [ARGUMENT...].

Fails unless it ends with that exit status (-6: aborted) and its output has a match; exits with 77 where PATH is missing.
"""
import pathlib
import re
import subprocess
import sys

arguments = sys.argv[1:]
if arguments[0] == "--needs":
    if not pathlib.Path(arguments[1]).exists():
        print(f"skipped: {arguments[1]} is missing")
        sys.exit(77)
    arguments = arguments[2:]
status, expected, *command = arguments
run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
print(run.stdout, end="")
if run.returncode != int(status):
    sys.exit(f"found exit status {run.returncode}, expected {status}")
if not re.search(expected, run.stdout, re.MULTILINE):
    sys.exit(f"found nothing that matches, expected: {expected}")
