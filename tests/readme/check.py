#!/usr/bin/env python3
"""Checks what Markdown files show: check.py CHECK COMMAND [FLAG...] -- FILE.md...

`code`: every block ```cpp and ```cpp inside compiles by COMMAND, a compiler's. A block with `int main` is a program by
itself. The others of a file are one program, in their order: ```cpp blocks are its declarations, ```cpp inside blocks
the statements of one function behind them. Around each there is a namespace that uses ctnn, so that all programs are
one file for the compiler, which reads ctnn once; only a block with conditional includes is a file of its own.

`wrong_network`: every block ```cpp wrong fails with exactly one error, which says what the next plain block shows.
There line breaks and indentation are one space, and `…` stands for anything.

`one_line`: the command `g++ ... net.cpp ...` makes a program of the first block with `int main`. It is run in the
current folder, with COMMAND's compiler for g++ and, to be quick, -O0 for -O3.

`commands`: every line `alexnet ...`, shown as code, has a subcommand and options that COMMAND, the program alexnet,
knows by its --help, whose own examples are looked at, too.

`links`: every link within the project leads to a file and, behind #, to a heading of it. Has no COMMAND.
"""
import functools
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import NamedTuple

sys.path.append(str(pathlib.Path(__file__).parents[1]))
from compile_fail.check import verdict  # noqa: E402

FENCED = re.compile(r"^```(.*)\n((?:.*\n)*?)```$", re.MULTILINE)
INCLUDE = re.compile(r"^#include .*$", re.MULTILINE)


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
        return f"{head}{self.code()}"

    def code(self) -> str:
        return f'#line {self.line} "{self.file}"\n{self.text}'

    def is_program(self) -> bool:
        return re.search(r"\bint main\b", self.text) is not None


def text_of(file: str) -> str:
    return pathlib.Path(file).read_text("utf-8")


def blocks_of(file: str) -> list[Block]:
    text = text_of(file)
    return [Block(file, text.count("\n", 0, fence.start(2)) + 1, fence[1].split(), fence[2])
            for fence in FENCED.finditer(text)]


def run(command: list[str], text: str = "") -> tuple[bool, str]:
    """Whether it failed, and what it said."""
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
                          check=False)
    return done.returncode != 0, done.stdout


def shared_file(blocks: list[Block]) -> str:
    """The file of blocks: what they include, and each program in a namespace of its own."""
    includes = dict.fromkeys(line for block in blocks for line in INCLUDE.findall(block.text))
    programs = []
    for block in filter(Block.is_program, blocks):
        programs.append(INCLUDE.sub("", block.code()))
    for file in dict.fromkeys(block.file for block in blocks):
        parts = [block for block in blocks if block.file == file and not block.is_program()]
        declarations = [INCLUDE.sub("", block.code()) for block in parts if "inside" not in block.tags]
        statements = [block.code() for block in parts if "inside" in block.tags]
        programs.append("\n".join([*declarations, "void inside() {", *statements, "}"]))
    spaces = [f"namespace program_{i} {{\nusing namespace ctnn;\n{text}\n}}" for i, text in enumerate(programs)]
    return "\n".join(["#include <ctnn/ctnn.hpp>", *includes, *spaces])


def check_code(compiler: list[str], blocks: list[Block]) -> list[str]:
    code = [block for block in blocks if block.tags in (["cpp"], ["cpp", "inside"])]
    alone = [block for block in code if re.search(r"^#if", block.text, re.MULTILINE)]
    files = [block.program() for block in alone]
    files.append(shared_file([block for block in code if block not in alone]))
    found = []
    for text in files:
        failed, output = run([*compiler, "-x", "c++", "-"], text)
        if failed:
            found.append(next((line for line in output.splitlines() if "error:" in line), output))
    return found if code else ["no such block in these files"]


def check_wrong(compiler: list[str], blocks: list[Block]) -> list[str]:
    found, count = [], 0
    for block, shown in zip(blocks, [*blocks[1:], Block("", 0, ["none"], "")]):
        if block.tags != ["cpp", "wrong"]:
            continue
        count += 1
        if shown.tags:
            found.append(f"{block.file}:{block.line}: is not followed by a plain block with the error")
            continue
        failed, output = run([*compiler, "-x", "c++", "-"], block.program())
        pieces = [piece.strip() for piece in " ".join(shown.text.split()).split("…")]
        wrong = verdict(failed, output, [piece for piece in pieces if piece])
        if wrong:
            found.append(f"{block.file}:{block.line}: {wrong}\n{output}")
    return found if count else ["no such block in these files"]


def check_one_line(compiler: list[str], blocks: list[Block]) -> list[str]:
    block = next(block for block in blocks if block.tags == ["cpp"] and block.is_program())
    command = re.search(r"`(g\+\+ [^`]* net\.cpp[^`]*)`", text_of(block.file))
    if not command:
        return [f"{block.file}: no command `g++ ... net.cpp ...`"]
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder, "net.cpp")
        program.write_text(block.program(), "utf-8")
        words = {"g++": compiler[0], "-O3": "-O0", "net.cpp": str(program)}
        failed, output = run([words.get(word, word) for word in shlex.split(command[1])] + ["-o", f"{folder}/net"])
    return [f"{block.file}:{block.line}: {command[1]}: {output}"] if failed else []


def command_lines(text: str) -> Iterator[str]:
    """What of a text begins like a command of the program's or of examples/run.sh, as words that a shell would see."""
    text = re.sub(r"\\\n\s*", " ", text)
    shown = [line for line in text.splitlines() if line.startswith("    ")]
    shown += [line for fence in FENCED.finditer(text) if not fence[1] or fence[1] in ("sh", "text")
              for line in fence[2].splitlines()]
    shown += re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)
    for line in shown:
        for part in re.split(r"[;|<>]|&&|\s#\s|\s{3,}", line):
            if re.match(r"\s*(\S*/alexnet|alexnet|examples/run\.sh)\s", part):
                yield part.strip()


def check_commands(program: list[str], files: list[str]) -> list[str]:
    @functools.cache
    def help_of(*subcommand: str) -> str:
        return run([*program, *subcommand, "--help"])[1]

    subcommands = re.findall(r"^  (\w+) ", help_of().split("Subcommands:")[1].split("Examples:")[0], re.MULTILINE)
    texts = {file: text_of(file) for file in files}
    texts |= {f"alexnet {name} --help": re.sub(r"^ +", "    ", help_of(name), flags=re.MULTILINE) for name in subcommands}
    found, count = [], 0
    for source, text in texts.items():
        for line in command_lines(text):
            words = line.split()
            words = words[1:] if words[0].endswith("alexnet") else ["train", *words[1:]]
            options = [word.split("=")[0].rstrip(",.") for word in words if word.startswith("--")]
            if words[0].startswith("--"):
                known = help_of().split("Examples:")[0]
            elif words[0] in subcommands:
                known = help_of(words[0]).split("Examples:")[0]
            elif re.fullmatch(r"[a-z]+", words[0]):
                found.append(f"{source}: {line}: found no subcommand {words[0]}, expected one of {', '.join(subcommands)}")
                continue
            else:
                continue
            count += 1
            for option in options:
                if not re.search(rf"(?<![\w-]){option}(?![\w-])", known):
                    found.append(f"{source}: {line}: alexnet {words[0]} has no option {option}")
    return found if count else ["no such command in these files"]


def anchors(file: pathlib.Path) -> set[str]:
    """The names by which GitHub links to headings."""
    headings = re.findall(r"^#+ +(.*)$", FENCED.sub("", file.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def check_links(_: list[str], files: list[str]) -> list[str]:
    found = []
    for file in files:
        for link in re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", text_of(file))):
            name, _, anchor = link.partition("#")
            target = pathlib.Path(file).parent / name if name else pathlib.Path(file)
            if re.match(r"\w+:", link):
                continue
            if not target.exists():
                found.append(f"{file}: found the link {link}, expected a file there")
            elif anchor and anchor not in anchors(target):
                found.append(f"{file}: found the link {link}, expected a heading of that name")
    return found


def main() -> int:
    what, *command = sys.argv[1 : sys.argv.index("--")]
    files = sys.argv[sys.argv.index("--") + 1 :]
    on_files = {"commands": check_commands, "links": check_links}
    on_blocks = {"code": check_code, "wrong_network": check_wrong, "one_line": check_one_line}
    if what in on_files:
        found = on_files[what](command, files)
    else:
        found = on_blocks[what](command, [block for file in files for block in blocks_of(file)])
    for line in found:
        print(line)
    return 1 if found else 0


sys.exit(main())
