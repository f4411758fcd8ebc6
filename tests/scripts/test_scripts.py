#!/usr/bin/env python3
"""Tests the scripts in examples/ without a network, a compiler or packages: what they call is faked or made here."""
import contextlib
import functools
import gzip
import hashlib
import http.server
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import tarfile
import tempfile
import threading
import time
import unittest

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
BATCHES = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
COMPLETE = {**dict.fromkeys(BATCHES, 30_730_000), "batches.meta.txt": 88}


class ScriptTest(unittest.TestCase):
    """A tree of its own with the scripts in examples/ and programs in bin/, in a folder whose name has a space."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name) / "a tree"
        self.bin = self.root / "bin"
        self.bin.mkdir(parents=True)
        (self.root / "examples").mkdir()
        for script in EXAMPLES.glob("*.sh"):
            shutil.copy(script, self.root / "examples")
        # Nothing but the named programs is to be found, and no proxy between here and 127.0.0.1.
        self.environment = {"PATH": str(self.bin), "LC_ALL": "C"}
        for name in "sh env cat dirname mkdir".split():
            self.provide(name)

    def provide(self, name: str) -> bool:
        """Lets the scripts find this machine's program, if it has it."""
        path = shutil.which(name)
        if path:
            (self.bin / name).symlink_to(path)
        return path is not None

    def fake(self, path: str, text: str):
        """A program that appends its name and arguments to the file 'log', and then does what the text says."""
        program = self.root / path
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f'#!/bin/sh\necho "{program.name}" "$@" >>"{self.root}/log"\n{text}\n', "utf-8")
        program.chmod(0o755)

    def log(self) -> list[str]:
        path = self.root / "log"
        return path.read_text("utf-8").splitlines() if path.exists() else []

    def start(self, script: str, *arguments: str, cwd=None, **environment: str) -> subprocess.Popen:
        return subprocess.Popen(
            [self.root / "examples" / script, *arguments], env=self.environment | environment, cwd=cwd or self.root,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run_script(self, *arguments, **environment) -> tuple[int, str, str]:
        process = self.start(*arguments, **environment)
        output, errors = process.communicate(timeout=60)
        return process.returncode, output, errors

    def one_line(self, errors: str, *pieces: str):
        """One line that holds the pieces in this order."""
        self.assertRegex(errors, r"\A[^\n]+\n\Z")
        at = 0
        for piece in pieces:
            self.assertIn(piece, errors[at:])
            at = errors.index(piece, at) + len(piece)


class RequirePackages(ScriptTest):
    def setUp(self):
        super().setUp()
        self.fake("bin/dpkg-query", 'case $4 in here) printf "install ok installed" ;; '
                                    'removed) printf "deinstall ok config-files" ;; *) exit 1 ;; esac')
        self.fake("bin/id", 'echo "$FAKE_ID"')
        self.fake("bin/sudo", '[ "$FAKE_SUDO" = yes ] || exit 1\n[ "$1" = -n ] || exec "$@"')
        self.fake("bin/apt-get", '[ "$2" != update ] || exit 100\n'
                                 'echo "$DEBIAN_FRONTEND" $FAKE_APT; exit ${FAKE_APT:-0}')

    def require(self, *packages: str, **environment: str) -> tuple[int, str, str]:
        return self.run_script("require_packages.sh", "examples/caller.sh", *packages, **environment)

    def apt_get(self) -> list[str]:
        return [line for line in self.log() if line.startswith("apt-get")]

    def test_is_silent_where_nothing_is_missing(self):
        self.assertEqual(self.require("here", "here", FAKE_ID="1000", FAKE_SUDO="no"), (0, "", ""))
        self.assertEqual(self.apt_get(), [])

    def test_does_nothing_without_dpkg(self):
        (self.bin / "dpkg-query").unlink()
        self.assertEqual(self.require("missing", FAKE_ID="1000", FAKE_SUDO="no"), (0, "", ""))
        self.assertEqual(self.log(), [])

    def test_installs_what_is_missing(self):
        for rights in ({"FAKE_ID": "0", "FAKE_SUDO": "no"}, {"FAKE_ID": "1000", "FAKE_SUDO": "yes"}):
            with self.subTest(rights):
                (self.root / "log").unlink(missing_ok=True)
                status, output, errors = self.require("missing", "here", "removed", **rights)
                self.assertEqual((status, errors), (0, ""))
                self.assertEqual(output, "examples/caller.sh: installing missing removed\nnoninteractive\n")
                self.assertEqual(self.apt_get(), ["apt-get -qq update",
                                                  "apt-get -qq install -y --no-install-recommends missing removed"])
                self.assertEqual(any(line.startswith("sudo env") for line in self.log()), rights["FAKE_ID"] != "0")

    def test_names_the_command_where_it_may_not_install(self):
        status, output, errors = self.require("missing", "here", "removed", FAKE_ID="1000", FAKE_SUDO="no")
        self.assertEqual((status, output), (1, ""))
        self.one_line(errors, "examples/caller.sh: ", "apt-get install missing removed\n")
        self.assertEqual(self.apt_get(), [])

    def test_says_when_apt_get_fails(self):
        status, _, errors = self.require("missing", FAKE_ID="0", FAKE_SUDO="no", FAKE_APT="100")
        self.assertEqual(status, 1)
        self.one_line(errors, "examples/caller.sh: ", "missing\n")


class Run(ScriptTest):
    def setUp(self):
        super().setUp()
        self.fake("bin/cmake", 'echo "words of cmake"; echo "more words" >&2; exit ${FAKE_CMAKE:-0}')
        self.tool = "build/run/examples/alexnet/alexnet"
        self.fake(self.tool, 'pwd; printf "<%s>" "$@"; exit ${FAKE_TOOL:-0}')

    def arguments(self, *arguments: str, **keywords) -> list[str]:
        """What the tool gets for these arguments."""
        status, output, errors = self.run_script("run.sh", *arguments, **keywords)
        self.assertEqual((status, errors), (0, ""))
        announcement, cwd, passed = output.split("\n", 2)
        self.assertIn("alexnet", announcement)
        self.assertIn(f"{self.root}/build/run/run.log", announcement)
        self.assertEqual(cwd, str(keywords.get("cwd", self.root)))
        return passed.removeprefix("<").removesuffix(">").split("><")

    def add_cifar10(self) -> str:
        folder = self.root / "datasets" / "cifar10"
        folder.mkdir(parents=True)
        (folder / "data_batch_1.bin").touch()
        return str(folder)

    def test_builds_the_tool_alone_and_quietly(self):
        self.arguments()
        root, build = self.root, self.root / "build/run"
        self.assertEqual(self.log()[:2], [
            f"cmake -S {root} -B {build} --preset release -DCTNN_TESTS=OFF -DCTNN_BENCHMARKS=OFF -DCTNN_WERROR=OFF",
            f"cmake --build {build} --target alexnet"])

    def on_a_terminal(self, **environment: str) -> tuple[int, str]:
        """run.sh's status and what a terminal shows of it."""
        here, there = os.openpty()
        process = subprocess.Popen([self.root / "examples" / "run.sh"], env=self.environment | environment,
                                   cwd=self.root, stdin=subprocess.DEVNULL, stdout=there, stderr=there)
        os.close(there)
        shown = b""
        with contextlib.suppress(OSError):  # the terminal's end
            while part := os.read(here, 4096):
                shown += part
        os.close(here)
        return process.wait(timeout=60), shown.decode().replace("\r\n", "\n")

    def test_shows_the_build_on_a_terminal(self):
        self.fake("bin/cmake", 'case $1 in --build) [ -t 1 ] && echo "a terminal" ;; *) echo "words" ;; esac; '
                               '[ "$1" != --build ] || exit ${FAKE_BUILD:-0}')
        status, shown = self.on_a_terminal()
        announcement, *rest = shown.split("\n")
        self.assertNotIn("run.log", announcement)
        self.assertEqual((status, rest), (0, ["a terminal", str(self.root), "<train><--epochs><3>"]))
        status, shown = self.on_a_terminal(FAKE_BUILD="2")
        self.assertEqual(status, 1)
        self.one_line(shown.split("a terminal\n")[1], "examples/run.sh: ")

    def test_passes_arguments_on_as_they_are(self):
        elsewhere = self.root / "else where"
        elsewhere.mkdir()
        given = ["--epochs", "7", "--out", "../a run", "", "--lr=0.1", "*"]
        self.assertEqual(self.arguments(*given, cwd=elsewhere), ["train", *given])

    def test_trains_for_three_epochs_unless_told_otherwise(self):
        self.assertEqual(self.arguments(), ["train", "--epochs", "3"])
        self.assertEqual(self.arguments("--lr", "1"), ["train", "--epochs", "3", "--lr", "1"])
        for given in (["--epochs", "1"], ["--epochs=1"], ["--resume", "x"], ["--resume=x"], ["-h"], ["--help"]):
            with self.subTest(given):
                self.assertEqual(self.arguments(*given), ["train", *given])

    def test_takes_cifar10_where_it_is_there_unless_told_otherwise(self):
        folder = self.add_cifar10()
        self.assertEqual(self.arguments("--epochs=1", cwd=self.bin), ["train", "--data-dir", folder, "--epochs=1"])
        self.assertEqual(self.arguments(), ["train", "--epochs", "3", "--data-dir", folder])
        self.assertEqual(self.arguments("--dataset=cifar10"),
                         ["train", "--epochs", "3", "--data-dir", folder, "--dataset=cifar10"])
        for given in (["--data-dir", "x"], ["--data-dir=x"], ["--dataset", "synthetic"], ["--dataset=synthetic"]):
            with self.subTest(given):
                self.assertEqual(self.arguments(*given), ["train", "--epochs", "3", *given])
        for given in (["--resume", "x"], ["-h"], ["--help"]):
            with self.subTest(given):
                self.assertEqual(self.arguments(*given), ["train", *given])

    def test_ends_with_the_status_of_the_tool(self):
        self.assertEqual(self.run_script("run.sh", FAKE_TOOL="3")[0], 3)

    def test_shows_what_the_build_says_where_it_fails(self):
        status, output, errors = self.run_script("run.sh", FAKE_CMAKE="2")
        self.assertEqual(status, 1)
        self.assertNotIn("words", output)
        self.assertEqual(errors.splitlines()[:2], ["words of cmake", "more words"])
        self.one_line(errors.split("\n", 2)[2], "examples/run.sh: ")
        self.assertEqual(len(self.log()), 1)

    def test_stops_where_packages_are_missing(self):
        self.fake("bin/dpkg-query", "exit 1")
        self.fake("bin/id", "echo 1000")
        status, output, errors = self.run_script("run.sh")
        self.assertEqual((status, output), (1, ""))
        self.one_line(errors, "examples/run.sh: ", "apt-get install g++ cmake ", " libcli11-dev\n")
        self.assertFalse(any(line.startswith(("cmake", "alexnet")) for line in self.log()))


@functools.cache
def zeros(size: int) -> bytes:
    return gzip.compress(bytes(size), 1)


class DownloadCifar10(ScriptTest):
    def setUp(self):
        super().setUp()
        for name in "cp find grep gzip head md5sum mktemp mv rm stat tail tar tr".split():
            self.assertTrue(self.provide(name), name)
        self.folder = self.root / "datasets" / "cifar10"

    def archive(self, sizes: dict[str, int]) -> pathlib.Path:
        """A .tar.gz of files of zeros; a row of gzip files is one, so that the zeros need be compressed only once."""
        path = self.root / "cifar 10.tar.gz"
        with path.open("wb") as file:
            for name, size in sizes.items():
                entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
                entry.size = size
                file.write(gzip.compress(entry.tobuf()) + zeros(-(-size // 512) * 512))
            file.write(zeros(1024))
        return path

    def tree(self) -> dict[str, int]:
        """Everything there is, with sizes."""
        return {str(path.relative_to(self.root)): path.lstat().st_size if path.is_file() else -1
                for path in self.root.rglob("*")}

    def md5(self, path: pathlib.Path) -> str:
        return hashlib.md5(path.read_bytes()).hexdigest()

    def assert_complete(self):
        self.assertEqual({path.name: path.stat().st_size for path in self.folder.iterdir()}, COMPLETE)
        self.assertEqual([path.name for path in self.folder.parent.iterdir()], ["cifar10"])
        shutil.rmtree(self.folder.parent)

    def assert_fails(self, *pieces: str, arguments=(), **environment: str):
        """The script says the pieces in one line and leaves all as it was."""
        before = self.tree()
        status, _, errors = self.run_script("download_cifar10.sh", *arguments, **environment)
        self.assertEqual(status, 1)
        self.one_line(errors, "download_cifar10.sh: ", *pieces)
        self.assertTrue(errors.startswith("download_cifar10.sh: "))
        self.assertEqual(self.tree(), before)

    def test_unpacks_a_file_and_does_nothing_the_second_time(self):
        path = self.archive(COMPLETE)
        settings = {"CTNN_CIFAR10_URL": f"file://{path}", "CTNN_CIFAR10_MD5": self.md5(path)}
        status, output, errors = self.run_script("download_cifar10.sh", **settings)
        self.assertEqual((status, errors), (0, ""))
        self.assertIn(str(self.folder), output)
        path.unlink()
        before = self.tree()
        status, output, errors = self.run_script("download_cifar10.sh", **settings)
        self.assertEqual((status, errors), (0, ""))
        self.assertIn("already", output)
        self.assertEqual(self.tree(), before)
        (self.folder / "test_batch.bin").unlink()
        self.assert_fails(f"{self.folder}: found no test_batch.bin", **settings)

    def test_downloads_by_curl_and_by_wget_into_a_named_folder(self):
        path = self.archive(COMPLETE)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Files, directory=self.root)) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            address = f"http://127.0.0.1:{server.server_port}"
            self.folder = self.root / "some where" / "cifar10"
            for program in ("curl", "wget"):
                with self.subTest(program):
                    if not self.provide(program):
                        self.skipTest(f"no {program} here")
                    status, _, errors = self.run_script(
                        "download_cifar10.sh", "some where/cifar10",
                        CTNN_CIFAR10_URL=f"{address}/cifar%2010.tar.gz", CTNN_CIFAR10_MD5=self.md5(path))
                    self.assertEqual((status, errors), (0, ""))
                    self.assert_complete()
                    self.assert_fails(f"{address}/x: ", "404", CTNN_CIFAR10_URL=f"{address}/x")
                    # Nothing listens at port 9.
                    self.assert_fails("http://127.0.0.1:9/x: ", "onnect", CTNN_CIFAR10_URL="http://127.0.0.1:9/x")
                    (self.bin / program).unlink()
            server.shutdown()

    def test_names_the_package_without_curl_and_wget(self):
        self.assert_fails("apt-get install curl")

    def test_refuses_a_wrong_checksum(self):
        path = self.archive({"data_batch_1.bin": 512})
        self.assert_fails(f"file://{path}: found md5 {self.md5(path)}, expected c32a1d4ab5d03f1284b67883e8d87530",
                          CTNN_CIFAR10_URL=f"file://{path}")

    def test_refuses_what_does_not_unpack(self):
        path = self.archive(COMPLETE)
        whole = path.read_bytes()
        for wrong in (whole[:len(whole) // 2], whole[:-4], b"<html>", b""):
            with self.subTest(len(wrong)):
                path.write_bytes(wrong)
                self.assert_fails(f"file://{path}: ", CTNN_CIFAR10_URL=f"file://{path}",
                                  CTNN_CIFAR10_MD5=self.md5(path))

    def test_refuses_missing_files_and_wrong_sizes(self):
        without_names = {name: size for name, size in COMPLETE.items() if name != "batches.meta.txt"}
        for sizes, found in (({"readme.html": 512}, "found no data_batch_1.bin"),
                             (without_names, "found no batches.meta.txt"),
                             (COMPLETE | {"data_batch_1.bin": 30_729_999}, "found 30729999 bytes in data_batch_1.bin")):
            with self.subTest(found):
                path = self.archive(sizes)
                self.assert_fails(f"file://{path}", found, "expected", CTNN_CIFAR10_URL=f"file://{path}",
                                  CTNN_CIFAR10_MD5=self.md5(path))

    def test_says_when_there_is_no_source(self):
        self.assert_fails(f"file://{self.root}/none: ", "No such file", CTNN_CIFAR10_URL=f"file://{self.root}/none")

    def test_says_when_it_cannot_write(self):
        path = self.archive({"readme.html": 512})
        self.assert_fails("a tree", "Not a directory", arguments=[f"{path}/a/b"], CTNN_CIFAR10_URL=f"file://{path}")
        if os.geteuid() != 0:
            locked = self.root / "locked"
            locked.mkdir(mode=0o500)
            self.assert_fails("locked", "Permission denied", arguments=[str(locked / "a")],
                              CTNN_CIFAR10_URL=f"file://{path}")

    def test_says_when_there_is_no_room(self):
        path = self.archive(COMPLETE)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, limits)
        for room in (path.stat().st_size // 2, 1_000_000):  # too little for the archive, and for what is in it
            with self.subTest(room):
                resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
                self.assert_fails(f"file://{path}: ", CTNN_CIFAR10_URL=f"file://{path}",
                                  CTNN_CIFAR10_MD5=self.md5(path))

    def test_leaves_a_folder_alone_that_is_not_its_own(self):
        self.folder.mkdir(parents=True)
        (self.folder / "notes").write_text("mine", "utf-8")
        self.assert_fails(f"{self.folder}: found no data_batch_1.bin")

    def test_refuses_wrong_arguments(self):
        for arguments in (["--help"], ["a", "b"]):
            self.assert_fails("usage: ", arguments=arguments)

    def test_leaves_nothing_when_interrupted(self):
        fifo = self.root / "fifo"
        os.mkfifo(fifo)
        before = self.tree()
        process = self.start("download_cifar10.sh", CTNN_CIFAR10_URL=f"file://{fifo}")
        self.addCleanup(process.kill)
        writer = self.open_when_read(fifo)
        os.write(writer, b"a beginning")
        self.assertNotEqual(self.tree(), before)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=10)
        self.assertEqual(process.returncode, 1)
        self.one_line(errors, "download_cifar10.sh: interrupted")
        self.assertEqual(self.tree(), before)
        with self.assertRaises(BrokenPipeError):  # nobody reads on
            os.write(writer, b"more")
        os.close(writer)

    def open_when_read(self, fifo: pathlib.Path) -> int:
        for _ in range(1000):
            try:
                return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:  # so far without a reader
                time.sleep(0.01)
        self.fail("the script does not read its source")


class Files(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, without a word on the terminal."""

    def log_message(self, format, *arguments):  # pylint: disable=redefined-builtin
        pass


if __name__ == "__main__":
    unittest.main()
