"""What the tool's tests share: running it in a folder of its own, and files for it to read."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden"))
import safetensors  # noqa: E402,F401  the tests' own reader

BINARY = os.environ["CTNN_ALEXNET"]
BATCH_BYTES = 10_000 * (1 + 3 * 32 * 32)

# Started in the background of a script, the tests would have the tool ignore interrupts as they do.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A training of a second: few images, but several batches and a last one that is not full.
SHORT = ["train", "--dataset", "synthetic", "--limit-train", "300", "--limit-test", "200", "--batch-size", "64",
         "--epochs", "3"]
# What that is tested on, for eval.
TEST = ["--dataset", "synthetic", "--limit-test", "200"]


def content(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def forget(pid):
    """Removes what Clang's OpenMP knows a process by. One that was killed, or may write no file of a kilobyte, leaves it
    behind, the latter empty, and a later process of the same number dies of it by a bus error."""
    for folder in "/dev/shm", "/tmp":
        with contextlib.suppress(FileNotFoundError):
            os.remove(f"{folder}/__KMP_REGISTERED_LIB_{pid}_{os.getuid()}")


class ToolTest(unittest.TestCase):
    """Every test has an empty current folder."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = scratch.name

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def start(self, *arguments, **options):
        environment = {**os.environ, **options.pop("environment", {})}
        process = subprocess.Popen([BINARY, *arguments], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   stdin=subprocess.DEVNULL, text=True, env=environment, **options)
        self.addCleanup(forget, process.pid)
        return process

    def run_tool(self, *arguments, status=0, **options):
        """Standard output of a run that must end with that status."""
        process = self.start(*arguments, **options)
        output, errors = process.communicate(timeout=300)
        self.assertEqual(process.returncode, status, f"{arguments}: {output}{errors}")
        if status == 0:
            self.assertEqual(errors, "")
        return output

    def refusal(self, *arguments, **options):
        """The one line on standard error of a run that must fail."""
        process = self.start(*arguments, **options)
        output, errors = process.communicate(timeout=300)
        self.assertEqual(process.returncode, 1, f"{arguments}: {output}{errors}")
        errors = re.sub(r"(?m)^OMP: Warning .*\n", "", errors)  # Clang's OpenMP, of a limit on the size of files
        self.assertRegex(errors, r"\Aalexnet: [^\n]+\n\Z")
        return errors[len("alexnet: "):-1]

    def files(self, run):
        """The bytes of a run's files without what the clock decides: metrics.csv without times, no events, no report."""
        found = {}
        for name in sorted(os.listdir(self.path(run))):
            if name != "report.html" and not name.startswith("events.out.tfevents."):
                found[name] = content(self.path(run, name))
        found["metrics.csv"] = re.sub(rb",[0-9.]+,[0-9.]+\n", b"\n", found["metrics.csv"])
        return found

    def rows(self, run):
        """metrics.csv as a list of dicts of numbers."""
        lines = content(self.path(run, "metrics.csv")).decode().splitlines()
        names = lines[0].split(",")
        return [dict(zip(names, map(float, line.split(",")))) for line in lines[1:]]

    def wait_for(self, process, condition):
        for _ in range(6000):
            if condition():
                return
            self.assertIsNone(process.poll(), "the run ended early")
            time.sleep(0.01)
        self.fail("the run did not come that far")

    def rows_of(self, run):
        path = self.path(run, "metrics.csv")
        return len(content(path).splitlines()) - 1 if os.path.exists(path) else -1

    def assert_equal_runs(self, run, unbroken):
        found, expected = self.files(run), self.files(unbroken)
        self.assertEqual(found.keys(), expected.keys())
        for name in expected:
            if name != "run.json":  # names the number of threads
                self.assertEqual(found[name], expected[name], name)

    def cifar10(self, name="cifar"):
        """A folder of the right files, all zeros, which take no room on disk."""
        os.mkdir(self.path(name))
        for batch in [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]:
            with open(self.path(name, batch), "wb") as file:
                file.truncate(BATCH_BYTES)
        return name
