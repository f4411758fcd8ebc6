#!/usr/bin/env python3
"""Writes single_include/ctnn/ctnn.hpp, which is all of ctnn in one file; with --check, says whether it is fresh.

Every `#include <ctnn/...>` is replaced by the file, the first time it is met. Other includes that open a file move to
the top, sorted and each once; one behind any other directive (`#if`, `#define`) may depend on it, and stays where it is.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = ROOT / "include"
OUTPUT = ROOT / "single_include" / "ctnn" / "ctnn.hpp"
DIRECTIVE = re.compile(r"\s*#\s*(\w+)\s*(.*)")


def expand(name: str, seen: set[str], hoisted: set[str]) -> list[str]:
    """The lines of header `name` with all headers of ctnn that it needs and that are not in `seen` before them."""
    seen.add(name)
    path = INCLUDE / name
    if not path.is_file():
        raise SystemExit(f"generate.py: {path.relative_to(ROOT)} is included but does not exist")
    before: list[str] = []
    own: list[str] = []
    depth = 0
    opening = True  # only includes and the once-guard so far
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        match = DIRECTIVE.match(line)
        directive, rest = match.groups() if match else ("", "")
        if directive == "pragma" and rest.startswith("once"):
            continue
        if directive == "include":
            target = re.match(r"<ctnn/([^>]+)>", rest)
            if rest.startswith('"') or (target and depth > 0):
                raise SystemExit(f"generate.py: {path.relative_to(ROOT)}:{number}: cannot take '{line.strip()}': "
                                 "write <ctnn/...>, outside #if")
            if target:
                header = "ctnn/" + target.group(1)
                if header not in seen:
                    (before if opening else own).extend(expand(header, seen, hoisted))
                continue
            if opening:
                hoisted.add("#include " + rest.split(">")[0] + ">")
                continue
        elif directive:
            opening = False
            depth += {"if": 1, "ifdef": 1, "ifndef": 1, "endif": -1}.get(directive, 0)
        own.append(line)
    return [*before, "", f"// ---- {name}", *own]


def generate() -> str:
    hoisted: set[str] = set()
    body = "\n".join(expand("ctnn/ctnn.hpp", {"ctnn/ctnn.hpp"}, hoisted))
    version = ".".join(re.findall(r"#define CTNN_VERSION_\w+ (\d+)", body))
    copyright_line = next(line for line in (ROOT / "LICENSE").read_text("utf-8").splitlines() if "Copyright" in line)
    # The standard library's headers have no dot in their names.
    groups = [sorted(i for i in hoisted if "." not in i), sorted(i for i in hoisted if "." in i)]
    includes = "\n\n".join("\n".join(group) for group in groups if group)
    text = (f"// ctnn {version} in one file, made by single_include/generate.py: do not edit.\n"
            f"// {copyright_line}. SPDX-License-Identifier: MIT\n"
            f"#pragma once\n\n{includes}\n{body}\n")
    return re.sub(r"\n{3,}", "\n\n", text)


def main() -> int:
    arguments = sys.argv[1:]
    if arguments not in ([], ["--check"]):
        print("usage: generate.py [--check]", file=sys.stderr)
        return 2
    text = generate().encode("utf-8")
    if not arguments:
        OUTPUT.parent.mkdir(parents=True, exist_ok=True)
        OUTPUT.write_bytes(text)
    elif not OUTPUT.is_file() or OUTPUT.read_bytes() != text:
        print(f"{OUTPUT.relative_to(ROOT)} is not what include/ makes: run python3 single_include/generate.py")
        return 1
    return 0


sys.exit(main())
