#!/usr/bin/env python3
"""Compiles the code in Markdown files: check.py code|wrong_network|one_line COMPILER [FLAG...] -- FILE.md...

`code`: every block ```cpp compiles. One with neither `int main` nor #include gets `#include <ctnn/ctnn.hpp>` and
`using namespace ctnn;` put before it.

`wrong_network`: every block ```cpp wrong fails with exactly one error, which says what the next plain block shows.
There line breaks and indentation are one space, and `…` stands for anything.

`one_line`: the command `g++ ... net.cpp ...` makes a program of the first block with `int main`. It is run in the
current folder, with COMPILER for g++ and, to be quick, -O0 for -O3.
"""
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
from typing import NamedTuple

sys.path.append(str(pathlib.Path(__file__).parents[1]))
from compile_fail.check import verdict  # noqa: E402


class Block(NamedTuple):
    """A fenced block: its file and first line, the words behind the opening fence, what is between the fences."""
    file: str
    line: int
    tags: list[str]
    text: str

    def program(self) -> str:
        """The block as a file, whose errors name the line in the Markdown file."""
        whole = re.search(r"^\s*#include|\bint main\b", self.text, re.MULTILINE)
        head = "" if whole else "#include <ctnn/ctnn.hpp>\nusing namespace ctnn;\n"
        return f'{head}#line {self.line} "{self.file}"\n{self.text}'


def blocks_of(file: str) -> list[Block]:
    text = pathlib.Path(file).read_text("utf-8")
    fences = re.finditer(r"^```(.*)\n((?:.*\n)*?)```$", text, re.MULTILINE)
    return [Block(file, text.count("\n", 0, fence.start(2)) + 1, fence[1].split(), fence[2]) for fence in fences]


def run(command: list[str], text: str = "") -> tuple[bool, str]:
    """Whether it failed, and what it said."""
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
                          check=False)
    return done.returncode != 0, done.stdout


def check_code(compiler: list[str], block: Block) -> str:
    failed, output = run([*compiler, "-x", "c++", "-"], block.program())
    if not failed:
        return ""
    return "does not compile: " + next((line for line in output.splitlines() if "error:" in line), output)


def check_wrong(compiler: list[str], block: Block, shown: Block) -> str:
    if shown.tags:
        return "is not followed by a plain block with the error"
    failed, output = run([*compiler, "-x", "c++", "-"], block.program())
    pieces = [piece.strip() for piece in " ".join(shown.text.split()).split("…")]
    wrong = verdict(failed, output, [piece for piece in pieces if piece])
    return f"{wrong}\n{output}" if wrong else ""


def check_one_line(compiler: list[str], block: Block) -> str:
    command = re.search(r"`(g\+\+ [^`]* net\.cpp[^`]*)`", pathlib.Path(block.file).read_text("utf-8"))
    if not command:
        return "no command `g++ ... net.cpp ...` in this file"
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder, "net.cpp")
        program.write_text(block.program(), "utf-8")
        words = {"g++": compiler[0], "-O3": "-O0", "net.cpp": str(program)}
        failed, output = run([words.get(word, word) for word in shlex.split(command[1])] + ["-o", f"{folder}/net"])
    return f"{command[1]}: {output}" if failed else ""


def main() -> int:
    what, *compiler = sys.argv[1 : sys.argv.index("--")]
    blocks = [block for file in sys.argv[sys.argv.index("--") + 1 :] for block in blocks_of(file)]
    if what == "code":
        verdicts = [(block, check_code(compiler, block)) for block in blocks if block.tags == ["cpp"]]
    elif what == "wrong_network":
        pairs = zip(blocks, [*blocks[1:], Block("", 0, ["none"], "")])
        wrong_ones = [(block, shown) for block, shown in pairs if block.tags == ["cpp", "wrong"]]
        verdicts = [(block, check_wrong(compiler, block, shown)) for block, shown in wrong_ones]
    else:
        programs = [block for block in blocks if block.tags == ["cpp"] and "int main" in block.text]
        verdicts = [(block, check_one_line(compiler, block)) for block in programs[:1]]
    for block, wrong in verdicts:
        if wrong:
            print(f"{block.file}:{block.line}: {wrong}")
    if not verdicts:
        print("no such block in these files")
    return 1 if not verdicts or any(wrong for _, wrong in verdicts) else 0


sys.exit(main())
