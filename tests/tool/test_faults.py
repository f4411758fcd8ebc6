"""Kills, full disks, closed terminals, vanishing files, little memory: nothing is lost, and what went wrong is a clear line.

CTNN_KILLS=200 makes the kills of a training as many, and says at what they struck.
"""

import json
import os
import pty
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
import unittest
import zlib

from tool import BINARY, ToolTest, content, safetensors, write

KILLS = int(os.environ.get("CTNN_KILLS", "0"))
NOBODY = 65534

# Sanitizers reserve address space by the terabyte, and do without limits.
SANITIZED = b"__asan_init" in content(BINARY) or b"__tsan_init" in content(BINARY)

# An epoch of two steps, so that a training spends much of its time on writing its checkpoints.
TINY = ["train", "--dataset", "idx", "--data-dir", "idx", "--batch-size", "8", "--threads", "1", "--epochs", "6"]


def limit(which, size):
    return lambda: resource.setrlimit(which, (size, size))


class FaultTest(ToolTest):
    def setUp(self):
        super().setUp()
        os.mkdir(self.path("idx"))
        self.images("train", 16)
        self.images("t10k", 8)

    def images(self, part, count):
        draw = random.Random(count)
        labels = bytes(i % 3 for i in range(count))
        brightness = [bytes(70 * label + i // 3 for i in range(256)) for label in range(3)]
        pixels = b"".join(draw.randbytes(32 * 32).translate(brightness[label]) for label in labels)
        write(self.path("idx", f"{part}-images-idx3-ubyte"), struct.pack(">4I", 0x803, count, 32, 32) + pixels)
        write(self.path("idx", f"{part}-labels-idx1-ubyte"), struct.pack(">2I", 0x801, count) + labels)

    def weights(self):
        """A file of trained weights."""
        self.run_tool(*TINY, "--epochs", "1", "--out", "run")
        return "run/last.safetensors"

    def picture(self, name="one.ppm", seed=1):
        write(self.path(name), b"P6 32 32 255\n" + random.Random(seed).randbytes(3 * 32 * 32))
        return name

    def everything(self):
        """The bytes of every file, by its path."""
        return {os.path.join(folder, name): content(os.path.join(folder, name))
                for folder, _, names in os.walk(self.folder) for name in names}

    def writers(self, weights, folder):
        """Commands that write to a folder, and what each writes."""
        image = self.picture()
        for file, command in [
            ("w.hpp", ["export", "--weights", weights, "--header"]),
            ("w.native", ["convert", "--weights", weights, "--to-native"]),
            ("w.safetensors", ["convert", "--weights", weights, "--to-weights"]),
            ("hex", ["convert", "--weights", weights, "--to-hex"]),
            ("idx", ["convert", "--dataset", "idx", "--data-dir", "idx", "--to-idx"]),
            ("p.csv", ["predict", "--weights", weights, "--image", image, "--csv"]),
            ("p.json", ["predict", "--weights", weights, "--image", image, "--json"]),
            ("r.html", ["report", "run", "--data-dir", "idx", "--out"]),
        ]:
            yield f"{folder}/{file}", [*command, f"{folder}/{file}"]

    def require_whole(self, run):
        """What a reader would open is whole, whatever else there is."""
        for name in os.listdir(self.path(run)):
            if name.endswith(".safetensors"):
                safetensors.read(self.path(run, name))
            elif name == "run.json":
                self.assertIn("settings", json.loads(content(self.path(run, name))))
            elif name == "metrics.csv":
                self.assertTrue(content(self.path(run, name)).endswith(b"\n"))
                self.assertTrue(all(len(row) == 8 for row in self.rows(run)))


class Killed(FaultTest):
    def test_at_random_moments(self):
        """Each time what is there is whole, and a copy of it resumed equals the unbroken run; the run itself goes on to its
        next kill, which may come while it resumes."""
        start = time.monotonic()
        self.run_tool(*TINY, "--out", "unbroken")
        longest = 1.2 * (time.monotonic() - start)
        draw = random.Random(1)
        kills, met = 0, {"before run.json": 0, "before the first state": 0, "while a file was written": 0}
        behind = {}
        while kills < (KILLS or 5):
            resumes = os.path.exists(self.path("run", "run.json"))
            process = self.start(*(["train", "--resume", "run"] if resumes else [*TINY, "--out", "run"]))
            try:
                process.communicate(timeout=draw.uniform(0, longest))
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
            if process.returncode == 0:
                self.assert_equal_runs("run", "unbroken")
                shutil.rmtree(self.path("run"))
                continue
            self.assertEqual(process.returncode, -signal.SIGKILL)
            kills += 1
            names = os.listdir(self.path("run")) if os.path.exists(self.path("run")) else []
            met["while a file was written"] += any(".tmp" in name for name in names)
            if "run.json" not in names:
                met["before run.json"] += 1
                self.assertIn("run", self.refusal("train", "--resume", "run"))
                self.run_tool(*TINY, "--out", "run")
                self.assert_equal_runs("run", "unbroken")
                shutil.rmtree(self.path("run"))
                continue
            met["before the first state"] += "trainer.safetensors" not in names
            epochs = max(self.rows_of("run"), 0)
            behind[epochs] = behind.get(epochs, 0) + 1
            self.require_whole("run")
            shutil.copytree(self.path("run"), self.path("copy"))
            self.run_tool("train", "--resume", "copy")
            self.assert_equal_runs("copy", "unbroken")
            shutil.rmtree(self.path("copy"))
        if KILLS:
            print(f"\n{kills} kills; {', '.join(f'{count} {when}' for when, count in met.items())}; by rows in metrics.csv: "
                  + ", ".join(f"{count} of {epochs}" for epochs, count in sorted(behind.items()))
                  + "; all ended with the same bytes", file=sys.stderr)

    def test_before_the_first_state(self):
        self.run_tool(*TINY, "--out", "unbroken")
        table = content(self.path("unbroken", "metrics.csv")).splitlines(keepends=True)[0]
        for names in [["run.json"], ["run.json", "metrics.csv"]]:
            os.mkdir(self.path("run"))
            write(self.path("run", "trainer.safetensors.tmp1.0"), b"what a kill in the middle of writing leaves")
            for name in names:
                write(self.path("run", name), table if name == "metrics.csv" else content(self.path("unbroken", name)))
            self.run_tool("train", "--resume", "run")
            self.assert_equal_runs("run", "unbroken")
            shutil.rmtree(self.path("run"))
        # What else there is shows that it had one, which may not be lost.
        for name in "best.safetensors", "report.html", "metrics.csv":
            os.mkdir(self.path("run"))
            for kept in "run.json", name:
                shutil.copy(self.path("unbroken", kept), self.path("run", kept))
            before = self.everything()
            self.assertEqual(self.refusal("train", "--resume", "run"),
                             "run/trainer.safetensors: cannot open: No such file or directory")
            self.assertEqual(self.everything(), before)
            shutil.rmtree(self.path("run"))
        os.mkdir(self.path("run"))
        write(self.path("run", "run.json.tmp1.0"), b"{")
        self.assertIn("run/run.json: cannot open", self.refusal("train", "--resume", "run"))
        self.run_tool(*TINY, "--out", "run")
        self.assert_equal_runs("run", "unbroken")


class Together(FaultTest):
    def test_one_at_a_time_in_a_folder(self):
        process = self.start(*TINY, "--epochs", "100", "--out", "run")
        self.wait_for(process, lambda: self.rows_of("run") >= 1)
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)  # a thread that is writing ends that first
        write(self.path("run", "last.safetensors.tmp1.0"), b"which the other writes")
        before = self.everything()
        for arguments in ["train", "--resume", "run"], [*TINY, "--out", "run"]:
            self.assertEqual(self.refusal(*arguments), "run: found another alexnet train in it, expected none")
        self.assertEqual(self.everything(), before)
        process.kill()
        process.communicate()
        self.run_tool("train", "--resume", "run", "--stop-after", str(self.rows_of("run") + 1))

    def test_started_at_the_same_moment(self):
        for process in [self.start(*TINY, "--epochs", "1") for _ in range(4)]:
            output, errors = process.communicate(timeout=60)
            self.assertEqual((process.returncode, errors), (0, ""), output)
        names = ["small-idx", *(f"small-idx-{n}" for n in (2, 3, 4))]
        self.assertEqual(sorted(os.listdir(self.path("runs"))), names)
        for name in names[1:]:
            self.assert_equal_runs(f"runs/{name}", f"runs/{names[0]}")
        ends = []
        for process in [self.start(*TINY, "--epochs", "1", "--out", "run") for _ in range(4)]:
            _, errors = process.communicate(timeout=60)
            ends.append(process.returncode)
            if process.returncode != 0:
                self.assertRegex(errors, r"\Aalexnet: run(: found another alexnet train|/[a-z.]+: found there already)")
        self.assertEqual(sorted(ends), [0, 1, 1, 1])
        self.assert_equal_runs("run", f"runs/{names[0]}")


class Full(FaultTest):
    def test_outputs(self):
        """A limit on the size of files is a full disk that everybody may make."""
        weights = self.weights()
        os.mkdir(self.path("out"))
        for path, command in self.writers(weights, "out"):
            for old in False, True:
                if old and not path.endswith(("hex", "idx")):
                    write(self.path(path), b"precious")
                before = self.everything()
                size = 100_000 if path.endswith("hex") else 40  # some tensors are small enough
                with self.subTest(path, old=old):
                    message = self.refusal(*command, preexec_fn=limit(resource.RLIMIT_FSIZE, size))
                    self.assertRegex(message, f"{path}[^:]*: cannot write: File too large$")
                    self.assertEqual(self.everything(), before)
            shutil.rmtree(self.path("out"))
            os.mkdir(self.path("out"))

    def test_training(self):
        self.run_tool(*TINY, "--out", "unbroken")
        os.mkdir(self.path("small"))
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=11m", "tmpfs", self.path("small")], capture_output=True).returncode:
            self.skipTest("a small file system cannot be mounted here")
        self.addCleanup(subprocess.run, ["umount", self.path("small")])
        self.run_tool(*TINY, "--out", "small/run", "--stop-after", "1", "--no-tensorboard")
        state = content(self.path("small", "run", "trainer.safetensors"))
        for free, name in [(0, "metrics.csv"), (1_000_000, r"(best|last).safetensors"), (2_500_000, "trainer.safetensors")]:
            stat = os.statvfs(self.path("small"))
            write(self.path("small", "filler"), bytes(max(0, stat.f_bavail * stat.f_frsize - free)))
            names = os.listdir(self.path("small", "run"))
            message = self.refusal("train", "--resume", "small/run", "--no-tensorboard")
            self.assertRegex(message, f"^small/run/{name}: cannot write: No space left on device$")
            self.assertEqual(sorted(os.listdir(self.path("small", "run"))), sorted(names))
            self.assertEqual(content(self.path("small", "run", "trainer.safetensors")), state)
            self.require_whole("small/run")
            os.remove(self.path("small", "filler"))
        self.run_tool("train", "--resume", "small/run")
        self.assert_equal_runs("small/run", "unbroken")


    def test_a_folder_that_was_there_stays(self):
        os.mkdir(self.path("there"))
        os.symlink("there", self.path("link"))
        for name in "there", "link":
            self.assertRegex(self.refusal(*TINY, "--out", name, preexec_fn=limit(resource.RLIMIT_FSIZE, 40)),
                             f"^{name}/run.json: cannot write: File too large$")
        self.assertTrue(os.path.islink(self.path("link")))
        self.assertEqual(os.listdir(self.path("link")), [])


class ReadOnly(FaultTest):
    def test_outputs(self):
        def as_nobody():  # root may write anywhere
            if os.geteuid() == 0:
                os.setgid(NOBODY)
                os.setuid(NOBODY)

        os.chmod(self.folder, 0o755)
        try:
            subprocess.run([BINARY, "--version"], preexec_fn=as_nobody, capture_output=True, check=True)
        except (OSError, subprocess.SubprocessError):
            self.skipTest("the tool lies where only root may go")
        weights = self.weights()
        self.run_tool(*TINY, "--out", "stopped", "--stop-after", "1")
        os.mkdir(self.path("locked"))
        commands = [*self.writers(weights, "locked"), ("locked/new", [*TINY, "--out", "locked/new"]),
                    ("stopped/metrics.csv", ["train", "--resume", "stopped"]), ("locked/run.json", [*TINY, "--out", "locked"])]
        os.chmod(self.path("locked"), 0o555)
        os.chmod(self.path("stopped"), 0o555)
        before = self.everything()
        for path, command in commands:
            with self.subTest(path):
                message = self.refusal(*command, preexec_fn=as_nobody)
                self.assertRegex(message, f"^{path}: cannot create.*: Permission denied$")
                self.assertEqual(self.everything(), before)


class Vanishing(FaultTest):
    def setUp(self):
        super().setUp()
        for i, name in enumerate(f"{part}/{label}/{k}.ppm" for part in ("train", "test") for label in "ab" for k in range(4)):
            os.makedirs(os.path.dirname(self.path("images", name)), exist_ok=True)
            self.picture(f"images/{name}", i)

    def test_in_training(self):
        arguments = ["train", "--dataset", "folder", "--data-dir", "images", "--batch-size", "4", "--epochs", "12"]
        self.run_tool(*arguments, "--out", "unbroken")
        image = self.path("images", "train", "b", "2.ppm")
        good = content(image)
        process = self.start(*arguments, "--out", "run")
        self.wait_for(process, lambda: self.rows_of("run") >= 1)
        os.remove(image)
        _, errors = process.communicate()
        self.assertEqual((process.returncode, errors),
                         (1, "alexnet: images/train/b/2.ppm: cannot open: No such file or directory\n"))
        self.require_whole("run")
        # Without it, the run would go on as another one.
        self.assertEqual(self.refusal("train", "--resume", "run"),
                         "image files in images: found 7 images to train on, expected 8 as in run/run.json")
        write(image, good[:-1])
        self.assertIn("images/train/b/2.ppm: found", self.refusal("train", "--resume", "run"))
        write(image, good)
        self.run_tool("train", "--resume", "run")
        self.assert_equal_runs("run", "unbroken")

    def test_steps_behind_which_an_image_cannot_be_read(self):
        """They are kept; a run without any leaves nothing."""
        arguments = ["train", "--dataset", "folder", "--data-dir", "images", "--batch-size", "1", "--epochs", "2"]
        self.run_tool(*arguments, "--out", "unbroken")
        steps = []
        for name in sorted(os.listdir(self.path("images", "train", "a"))):
            image = self.path("images", "train", "a", name)
            good = content(image)
            write(image, good[:-1])
            line = f"alexnet: images/train/a/{name}: found "
            process = self.start(*arguments, "--out", "run")
            output, errors = process.communicate()
            self.assertEqual((process.returncode, errors[:len(line)]), (1, line))
            write(image, good)
            if not os.path.exists(self.path("run")):
                steps.append(0)
                continue
            _, state = safetensors.read(self.path("run", "trainer.safetensors"))
            steps.append(int(state["step"]))
            self.assertIn(f"stopped in epoch 1, behind step {steps[-1]} of the run; saved in run\n", output)
            self.run_tool("train", "--resume", "run")
            self.assert_equal_runs("run", "unbroken")
            shutil.rmtree(self.path("run"))
        self.assertEqual(len(set(steps)), 4)  # each image is another batch

    def test_renamed_classes(self):
        arguments = ["train", "--dataset", "folder", "--data-dir", "images", "--batch-size", "4", "--epochs", "2"]
        self.run_tool(*arguments, "--stop-after", "1", "--out", "run")
        for part in "train", "test":
            os.rename(self.path("images", part, "a"), self.path("images", part, "c"))
        before = self.everything()
        self.assertIn('run/last.safetensors: class 0: found "a", expected "b" as in image files in images',
                      self.refusal("train", "--resume", "run"))
        self.assertEqual(self.everything(), before)

    def test_in_predict(self):
        weights = self.weights()
        os.symlink("nowhere", self.path("images", "train", "a", "10.ppm"))  # is in the folder, and cannot be opened
        process = self.start("predict", "--weights", weights, "--image-dir", "images/train/a", "--csv", "-")
        output, errors = process.communicate()
        self.assertEqual((process.returncode, errors),
                         (1, "alexnet: images/train/a/10.ppm: cannot open: No such file or directory\n"))
        self.assertEqual(len(output.splitlines()), 1 + 4)

    def test_weights_cut_short_in_use(self):
        """Those that were loaded do not matter any more; those that are mapped end the program with a line."""
        weights = self.weights()
        self.run_tool("convert", "--weights", weights, "--to-native", "w.native")
        for file, status in (weights, 0), ("w.native", 1):
            process = self.start("predict", "--weights", file, "--image", *[self.picture()] * 300, "--csv", "-", "--batch-size",
                                 "1", "--threads", "1")
            self.assertEqual(process.stdout.readline(), "file,rank,class,index,probability\n")
            self.assertTrue(process.stdout.readline())
            os.truncate(self.path(file), 4096)
            _, errors = process.communicate()
            self.assertEqual(process.returncode, status)
            if status == 1:
                self.assertRegex(errors, r"\Aalexnet: w.native: cannot read: it was cut short [^\n]+\n\Z")
        self.assertRegex(self.refusal("predict", "--weights", "w.native", "--image", "one.ppm"), "w.native: .*bytes")


class Signals(FaultTest):
    def stop(self, number, at, *arguments, **options):
        """Standard output of a training that ends by a signal, after its saving."""
        process = self.start(*TINY, *arguments, "--out", "run", **options)
        self.wait_for(process, lambda: at(process))
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
        self.assertEqual((process.returncode, errors), (128 + number, ""))
        self.assertRegex(output, r"stopped in epoch \d, behind step \d+ of the run; saved in run\n")
        self.run_tool(*TINY, *arguments, "--out", "unbroken")
        self.run_tool("train", "--resume", "run")
        self.assert_equal_runs("run", "unbroken")
        return output

    def test_while_evaluating(self):
        def in_the_second_epoch(_):
            if self.rows_of("run") < 1:
                return False
            time.sleep(0.15)  # behind the training, which is the least part
            return True

        self.images("t10k", 800)  # which take longer than that
        self.stop(signal.SIGINT, in_the_second_epoch, "--epochs", "3", "--limit-train", "8")

    @unittest.skipUnless(os.path.exists("/proc/self/status"), "needs /proc")
    def test_while_images_are_read(self):
        def catches(process):
            with open(f"/proc/{process.pid}/status") as status:
                caught = next(int(line.split()[1], 16) for line in status if line.startswith("SigCgt:"))
            return caught >> (signal.SIGINT - 1) & 1

        self.images("train", 12_000)
        output = self.stop(signal.SIGINT, catches, "--limit-train", "32", "--epochs", "2")
        self.assertIn("stopped in epoch 1, behind step 1 of the run;", output)

    def test_hangup(self):
        self.stop(signal.SIGHUP, lambda _: self.rows_of("run") >= 1)

    def test_hangup_under_nohup(self):
        process = self.start(*TINY, "--out", "run", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        self.wait_for(process, lambda: self.rows_of("run") >= 1)
        process.send_signal(signal.SIGHUP)
        output, _ = process.communicate()
        self.assertEqual(process.returncode, 0, output)


    def test_interrupts_that_a_script_ignores(self):
        """As shells start what they put into the background."""
        process = self.start(*TINY, "--out", "run", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
        self.wait_for(process, lambda: self.rows_of("run") >= 1)
        for _ in range(2):
            process.send_signal(signal.SIGINT)
        output, _ = process.communicate()
        self.assertEqual(process.returncode, 0, output)


@unittest.skipIf(SANITIZED, "a sanitizer needs more address space than there is")
class Memory(FaultTest):
    def test_too_little_at_start(self):
        refused = 0
        for mib in 24, 32, 40, 48, 56, 64, 80:
            process = self.start(*TINY, "--epochs", "1", "--threads", "2", "--out", "run",
                                 preexec_fn=limit(resource.RLIMIT_AS, mib << 20))
            output, errors = process.communicate()
            if process.returncode == 127:  # not even its libraries
                continue
            with self.subTest(mib=mib):
                self.assertIn(process.returncode, (0, 1), errors)
                if process.returncode == 1:
                    refused += 1
                    self.assertRegex(errors, r"\A(alexnet: out of memory; [^\n]+|alexnet: batch loader: cannot start thread [^\n]+"
                                             r"|\nlibgomp: Thread creation failed: [^\n]+)\n\Z")
                if process.returncode == 1 and os.path.exists(self.path("run")):  # it ran out of memory behind the start
                    self.require_whole("run")
                    self.run_tool("train", "--resume", "run")
                shutil.rmtree(self.path("run"), ignore_errors=True)
        self.assertGreater(refused, 0)

    def test_a_batch_beyond_everything(self):
        weights = self.weights()
        before = self.everything()
        for command in [*TINY, "--out", "new"], ["eval", "--dataset", "idx", "--data-dir", "idx", "--weights", weights]:
            # The limit is for systems that promise memory that they do not have.
            message = self.refusal(*command, "--batch-size", "100000000", preexec_fn=limit(resource.RLIMIT_AS, 4 << 30))
            self.assertTrue(message.startswith("out of memory; "), message)
            self.assertEqual(self.everything(), before)


    def test_an_image_beyond_everything(self):
        def chunk(name, data):
            return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

        side = 16_000
        rows = zlib.compress(bytes(side * (1 + side // 8)), 1)
        for part in "train", "test":
            os.makedirs(self.path("images", part, "a"))
            write(self.path("images", part, "a", "1.png"), b"\x89PNG\r\n\x1a\n"
                  + chunk(b"IHDR", struct.pack(">2I5B", side, side, 1, 0, 0, 0, 0)) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
        message = self.refusal("train", "--dataset", "folder", "--data-dir", "images", "--batch-size", "1", "--threads", "1",
                               "--out", "new", preexec_fn=limit(resource.RLIMIT_AS, 700 << 20))
        self.assertTrue(message.startswith("out of memory; "), message)
        self.assertFalse(os.path.exists(self.path("new")))


class Streams(FaultTest):
    def end(self, *arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **options):
        """Status and standard error."""
        process = subprocess.run([BINARY, *arguments], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                                 text=True, timeout=60, **options)
        return process.returncode, process.stderr

    def commands(self):
        weights = self.weights()
        return [["--help"], ["info"], [*TINY, "--out", "new"],
                ["eval", "--dataset", "idx", "--data-dir", "idx", "--weights", weights],
                ["predict", "--weights", weights, "--image", self.picture(), "--csv", "p.csv"]]

    def test_standard_output_full_or_closed(self):
        for command in self.commands():
            with self.subTest(command):
                if os.path.exists("/dev/full"):
                    with open("/dev/full", "w") as full:
                        self.assertEqual(self.end(*command, stdout=full),
                                         (1, "alexnet: standard output: cannot write: No space left on device\n"))
                        shutil.rmtree(self.path("new"), ignore_errors=True)
                self.assertEqual(self.end(*command, preexec_fn=lambda: os.close(1)),
                                 (1, "alexnet: standard output: cannot write: Bad file descriptor\n"))
                self.assertFalse([name for name in os.listdir(self.folder) if name.startswith("p.csv")])

    def test_a_pipe_that_is_full_and_does_not_wait(self):
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        filled = 0
        try:
            while True:
                filled += os.write(writer, bytes(4096))
        except BlockingIOError:
            pass
        process = subprocess.Popen([BINARY, "info"], stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.PIPE)
        os.close(writer)
        with self.assertRaises(subprocess.TimeoutExpired):
            process.wait(timeout=0.5)
        with os.fdopen(reader, "rb") as pipe:
            self.assertEqual(pipe.read()[filled:].decode(), self.run_tool("info"))
        self.assertEqual(process.communicate(timeout=60)[1], b"")
        self.assertEqual(process.returncode, 0)

    def test_nobody_reads(self):
        for command in self.commands():
            for ignored in False, True:
                reader, writer = os.pipe()
                os.close(reader)
                with self.subTest(command, ignored=ignored), os.fdopen(writer, "w") as pipe:
                    self.assertEqual(self.end(*command, stdout=pipe, restore_signals=not ignored),
                                     (1, "alexnet: standard output: cannot write: Broken pipe\n") if ignored
                                     else (-signal.SIGPIPE, ""))
                    self.assertFalse([name for name in os.listdir(self.folder) if name.startswith("p.csv")])
                shutil.rmtree(self.path("new"), ignore_errors=True)

    def test_standard_error_full_or_closed(self):
        image = self.picture()
        os.symlink("nowhere", self.path("gone.ppm"))
        predict = ["predict", "--weights", self.weights(), "--image", image, "gone.ppm", "--csv", "p.csv"]
        for command in ["paint"], predict:
            if os.path.exists("/dev/full"):
                with open("/dev/full", "w") as full:
                    self.assertEqual(self.end(*command, stderr=full)[0], 1)
            self.assertEqual(self.end(*command, preexec_fn=lambda: os.close(2))[0], 1)
        self.assertEqual(len(content(self.path("p.csv")).splitlines()), 2)

    def test_a_terminal_that_is_closed(self):
        """Nothing is left to draw on, and the run ends at its next line."""
        self.run_tool(*TINY, "--out", "unbroken")
        terminal, descriptor = pty.openpty()
        process = subprocess.Popen([BINARY, *TINY, "--out", "run"], cwd=self.folder, stdin=descriptor,
                                   stdout=descriptor, stderr=descriptor)
        os.close(descriptor)
        self.wait_for(process, lambda: self.rows_of("run") >= 1)
        os.close(terminal)
        self.assertEqual(process.wait(timeout=60), 1)
        self.run_tool("train", "--resume", "run")
        self.assert_equal_runs("run", "unbroken")


if __name__ == "__main__":
    unittest.main()
