#!/usr/bin/env python3
"""Runs fuzz targets for long and counts what they tried; runs add up in CORPUS/counts.jsonl, so an hour may be in parts.

    cmake --preset clang-dev && cmake --build --preset clang-dev
    tests/fuzz/run.py build/clang-dev/tests/fuzz corpus --minutes 60

Targets begin from the corpus, which grows, and from the findings beside this script. What fails is left in CORPUS/failed,
one file an input, and the exit status is 1. At the end: a table of all runs so far.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def run(program, corpus, seconds):
    """One target for so long: what it counted."""
    target = program.name.removeprefix("fuzz_")
    folders = [corpus / target, HERE / "findings" / target]
    command = [program, f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=4096", "-print_final_stats=1",
               f"-artifact_prefix={corpus}/failed/{target}-", *(folder for folder in folders if folder.is_dir())]
    before = os.times()
    result = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
    executed = re.findall(r"stat::number_of_executed_units:\s*(\d+)", result.stderr)
    covered = re.findall(r"\bcov: (\d+)", result.stderr)
    if result.returncode != 0:
        sys.stderr.write(f"{target}: exit status {result.returncode}\n" + result.stderr[-4000:])
    return {"target": target, "seconds": round(os.times().elapsed - before.elapsed), "failed": result.returncode != 0,
            "inputs": int(executed[-1]) if executed else 0, "edges": int(covered[-1]) if covered else 0}


def table(counts):
    """All runs of a target in a row."""
    rows = collections.defaultdict(list)
    for line in counts.read_text(encoding="utf-8").splitlines():
        count = json.loads(line)
        rows[count["target"]].append(count)
    print("| target | minutes | inputs | edges of the program reached | failed |\n| --- | ---: | ---: | ---: | ---: |")
    for target, runs in sorted(rows.items()):
        minutes = sum(count["seconds"] for count in runs) / 60
        print(f"| {target} | {minutes:.0f} | {sum(count['inputs'] for count in runs):,} | "
              f"{max(count['edges'] for count in runs)} | {sum(count['failed'] for count in runs)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", type=pathlib.Path, help="the folder of the fuzz_… programs")
    parser.add_argument("corpus", type=pathlib.Path, help="made by fuzz_make_corpus where it is not there")
    parser.add_argument("--minutes", type=float, default=60, help="for each target")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="targets at a time")
    parser.add_argument("--target", action="append", help="only this one; may be given several times")
    options = parser.parse_args()

    maker = options.programs.resolve() / "fuzz_make_corpus"
    programs = sorted(program for program in maker.parent.glob("fuzz_*")
                      if program.is_file() and os.access(program, os.X_OK) and program != maker)
    if options.target:
        programs = [program for program in programs if program.name.removeprefix("fuzz_") in options.target]
    if not programs:
        parser.error(f"{options.programs}: found none of these targets, expected fuzz_… as Clang's preset builds them")
    corpus = options.corpus.resolve()
    if not corpus.is_dir():
        subprocess.run([maker, corpus], check=True)
    (corpus / "failed").mkdir(exist_ok=True)

    counts, failed = corpus / "counts.jsonl", False
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        seconds = max(1, round(60 * options.minutes))
        for count in pool.map(lambda program: run(program, corpus, seconds), programs):
            failed = failed or count["failed"]
            with counts.open("a", encoding="utf-8") as file:
                file.write(json.dumps(count) + "\n")
    table(counts)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
