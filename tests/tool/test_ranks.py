"""Trainings by several processes, as mpirun starts them: the same results, failures that end all, refusals."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import unittest

from tool import BINARY, SHORT, TEST, ToolTest, content

ENVIRONMENT = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
               "OMPI_MCA_rmaps_base_oversubscribe": "1", "OMPI_MCA_hwloc_base_binding_policy": "none", "NO_COLOR": "1",
               "ASAN_OPTIONS": "detect_leaks=0"}  # Open MPI's own
TRAIN = [*SHORT, "--threads", "1", "--sync-batch-norm", "--no-report"]
SECONDS = 60  # within which a job ends whose rank was killed


@unittest.skipUnless(shutil.which("mpirun"), "no mpirun (Debian: openmpi-bin)")
class Ranks(ToolTest):
    def mpirun(self, *programs):
        """Starts programs, given as (ranks, argument, …), beside each other."""
        command = ["mpirun"]
        for ranks, *arguments in programs:
            command += [*([":"] if len(command) > 1 else []), "-np", str(ranks), *arguments]
        process = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   stdin=subprocess.DEVNULL, text=True, env=ENVIRONMENT, start_new_session=True)
        self.addCleanup(lambda: process.poll() is None and os.killpg(process.pid, signal.SIGKILL))
        return process

    def train(self, ranks, *arguments):
        process = self.mpirun((ranks, BINARY, *arguments))
        output, errors = process.communicate(timeout=300)
        self.assertEqual(process.returncode, 0, output + errors)
        self.assertNotIn("alexnet: ", errors)
        return output

    def refusal(self, *programs):
        """Of all that ranks write when they are refused, the line of the tool."""
        process = self.mpirun(*programs)
        output, errors = process.communicate(timeout=SECONDS)
        self.assertNotEqual(process.returncode, 0, output)
        lines = [line for line in errors.splitlines() if line.startswith("alexnet: ")]
        self.assertEqual(len(lines), 1, errors)
        return lines[0][len("alexnet: "):]

    def ranks_of(self, process):
        """The processes of a job, by their ranks."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as file:
                    environment = file.read()
                if os.path.realpath(f"/proc/{pid}/exe") != os.path.realpath(BINARY):
                    continue
                if int(content(f"/proc/{pid}/stat").rpartition(b")")[2].split()[1]) != process.pid:
                    continue  # of another job's
            except OSError:
                continue
            rank = re.search(rb"(?:^|\0)OMPI_COMM_WORLD_RANK=(\d+)", environment)
            if rank:
                found[int(rank.group(1))] = int(pid)
        return found

    def test_as_one_process(self):
        self.run_tool(*TRAIN, "--out", "one")
        one = self.rows("one")
        for ranks in (2, 3):
            output = self.train(ranks, *TRAIN, "--out", f"by{ranks}")
            self.assertEqual(len(re.findall("(?m)^accuracy [0-9.]+ %$", output)), 1)  # the first rank alone prints
            self.assertIn(f"on {ranks} ranks of 1 thread", output)
            rows = self.rows(f"by{ranks}")
            self.assertEqual(len(rows), len(one))
            # The first step of an epoch differs by rounding; what follows moves apart, as batch norm has it.
            self.assertAlmostEqual(rows[0]["train_loss"], one[0]["train_loss"], delta=0.002)
            self.assertEqual(rows[0]["lr"], one[0]["lr"])
            for row, expected in zip(rows, one):
                self.assertAlmostEqual(row["train_loss"], expected["train_loss"], delta=0.05)

    def test_resumed_by_others(self):
        self.run_tool(*TRAIN, "--out", "one")
        self.train(3, *TRAIN, "--stop-after", "1", "--out", "by3")
        self.train(2, "train", "--resume", "by3", "--threads", "1", "--stop-after", "2", "--no-report")
        self.run_tool("train", "--resume", "by3", "--threads", "1", "--no-report")
        for row, expected in zip(self.rows("by3"), self.rows("one"), strict=True):
            self.assertAlmostEqual(row["train_loss"], expected["train_loss"], delta=0.05)

    def broken(self, signal_, *options):
        """The lines of a job of two ranks, the second of which got a signal behind the second epoch."""
        long = [option if option != "3" else "500" for option in TRAIN]
        process = self.mpirun((2, BINARY, *long, *options, "--out", "run"))
        self.wait_for(process, lambda: self.rows_of("run") >= 2)
        os.kill(self.ranks_of(process)[1], signal_)
        start = time.monotonic()
        _, errors = process.communicate(timeout=SECONDS)
        self.assertLess(time.monotonic() - start, SECONDS)
        self.assertNotEqual(process.returncode, 0)
        epochs = self.rows_of("run")
        self.assertGreaterEqual(epochs, 2)
        self.assertFalse([name for name in os.listdir(self.path("run")) if ".tmp" in name])
        # What is there is whole, and goes on.
        self.run_tool("eval", "--weights", "run/last.safetensors", *TEST)
        self.train(2, "train", "--resume", "run", "--threads", "1", "--no-report", "--stop-after", str(epochs + 2))
        self.assertEqual(self.rows_of("run"), epochs + 2)
        return errors

    def test_killed(self):
        self.assertRegex(self.broken(signal.SIGKILL), "rank 1 .*signal 9")  # mpirun's own line

    def test_hanging(self):
        self.assertIn("rank 0 of 2: the other ranks have not answered for 2 s; ending all\n",
                      self.broken(signal.SIGSTOP, "--rank-timeout", "2"))

    def test_terminated(self):
        long = [option if option != "3" else "500" for option in TRAIN]
        process = self.mpirun((2, BINARY, *long, "--out", "run"))
        self.wait_for(process, lambda: self.rows_of("run") >= 1)
        os.kill(self.ranks_of(process)[1], signal.SIGTERM)  # one alone: all stop behind the same step
        output, errors = process.communicate(timeout=SECONDS)
        self.assertIn("; saved in run", output, errors)
        self.train(2, "train", "--resume", "run", "--threads", "1", "--no-report", "--stop-after",
                   str(self.rows_of("run") + 1))

    def test_differences(self):
        first = [BINARY, *TRAIN, "--out", "run"]
        self.assertEqual(self.refusal((1, *first), (2, *first, "--lr", "0.25")),
                         "rank 1 of 3: the setting lr is 0.25, expected 0.1 as on the first rank")
        self.assertEqual(self.refusal((1, *first), (1, *first, "--optimizer", "adam")),
                         "rank 1 of 2: the setting optimizer is adam, expected sgd as on the first rank")
        for name, images in (("few", 20), ("many", 21)):
            for split in ("train", "val"):
                os.makedirs(self.path(name, split, "grey"))
                for i in range(images):
                    with open(self.path(name, split, "grey", f"{i}.ppm"), "wb") as file:
                        file.write(b"P6 1 1 255\n" + bytes([i, i, i]))
        folder = [BINARY, "train", "--dataset", "folder", "--batch-size", "4", "--out", "run", "--data-dir"]
        self.assertEqual(self.refusal((1, *folder, "few"), (1, *folder, "many")),
                         "rank 1 of 2: the number of training images is 21, expected 20 as on the first rank")
        self.assertEqual(self.refusal((1, *first), (1, *first, "--stop-after", "1")),
                         "rank 1 of 2: --stop-after is 1, expected 0 as on the first rank")
        other = self.path("other")
        shutil.copy(BINARY, other)
        with open(other, "ab") as file:
            file.write(b"\0")
        self.assertRegex(self.refusal((1, *first), (1, other, *first[1:])),
                         "rank 1 of 2: the program's fingerprint is .*, expected .* as on the first rank")
        self.assertFalse(os.path.exists(self.path("run")))  # a run that was refused has not begun

    def test_events_of_small_shares(self):
        # A rank's passes are smaller than the eight pictures that TensorBoard gets.
        self.train(2, *TRAIN, "--batch-size", "8", "--limit-train", "32", "--stop-after", "1", "--out", "run")

    def test_errors(self):
        self.assertEqual(self.refusal((3, BINARY, "train", "--dataset", "cifar10", "--data-dir", "missing")),
                         "missing: found no directory, expected one with CIFAR-10's data_batch_1.bin to "
                         "data_batch_5.bin and test_batch.bin")
        self.assertEqual(self.refusal((2, BINARY, "info", "small")),
                         "alexnet info runs in one process, found 2 ranks of mpirun")
        self.assertRegex(self.refusal((4, BINARY, *TRAIN, "--batch-size", "3")), "synchronised batch norm: a batch of 3")


class Scale(ToolTest):
    def scaled(self, *options):
        """What is said of 1, 2 and 1024 ranks."""
        said = json.loads(self.run_tool("scale", "--batch-size", "4", "--steps", "2", "--threads", "1", "--ranks",
                                        "1,2,1024", "--json", *options))
        self.assertEqual([row["ranks"] for row in said["rows"]], [1, 2, 1024])
        return said, said["rows"]

    def test_a_slow_network_is_what_takes_the_time(self):
        said, (one, two, many) = self.scaled("--bandwidth", "0.01", "--latency", "0")
        self.assertAlmostEqual(one["step_ms"], said["step_alone_ms"], places=6)
        milliseconds = 1e3 * said["bytes"] * 8 / 1e7  # of all bytes, once
        self.assertGreater(milliseconds, 1000)
        for row, turns in ((two, 1), (many, 2 * 1023 / 1024)):
            self.assertLess(row["step_ms"], row["step_without_overlap_ms"])
            self.assertGreater(row["step_ms"], 0.95 * turns * milliseconds)
            self.assertLess(row["step_without_overlap_ms"], turns * milliseconds + 2 * said["step_alone_ms"])

    def test_a_fast_network_takes_none(self):
        said, rows = self.scaled("--bandwidth", "1000000", "--latency", "0")
        for row in rows:
            self.assertLess(row["step_ms"], 1.01 * said["step_alone_ms"])

    def test_refusals(self):
        for options in (["--ranks", "0"], ["--bandwidth", "0"], ["--bandwidth", "nan"], ["--bandwidth", "inf"], ["--latency", "-1"],
                        ["--latency", "nan"], ["--batch-size", "65537"], ["--batch-size", "2000000000"], ["--model", "none"]):
            self.assertIn(options[0], self.refusal("scale", *options))


if __name__ == "__main__":
    unittest.main()
