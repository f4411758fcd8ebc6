"""A run that was stopped, interrupted or killed and resumed equals an unbroken one to the byte."""

import json
import os
import shutil
import signal
import time
import unittest

from tool import SHORT, ToolTest, content, safetensors, write


class Resume(ToolTest):
    def test_stop_after(self):
        self.run_tool(*SHORT, "--out", "unbroken", "--threads", "2", "--val-size", "250")
        output = self.run_tool(*SHORT, "--out", "run", "--threads", "1", "--val-size", "250", "--stop-after", "1")
        self.assertIn("stopped after 1 of 3 epochs; saved in run\n", output)
        self.assertTrue(output.endswith("train --resume run\n"))
        self.assertEqual(self.rows_of("run"), 1)
        self.run_tool("train", "--resume", "run", "--threads", "3", "--stop-after", "2")
        self.assertEqual(self.rows_of("run"), 2)
        output = self.run_tool("train", "--resume", "run")
        self.assertIn("250 validate", output)
        self.assert_equal_runs("run", "unbroken")
        # A run that is complete is only evaluated again.
        before = self.files("run")
        self.assertIn(output[output.index("\nloss "):], self.run_tool("train", "--resume", "run"))
        self.assertEqual(self.files("run"), before)

    def test_interrupted_and_terminated(self):
        arguments = [*SHORT, "--limit-train", "1500"]
        self.run_tool(*arguments, "--out", "unbroken")
        run = ["--out", "run"]
        for number in signal.SIGINT, signal.SIGTERM:
            process = self.start(*(arguments + run if run else ["train", "--resume", "run"]))
            self.wait_for(process, lambda: self.rows_of("run") >= (0 if run else 1))
            time.sleep(0.4)
            process.send_signal(number)
            output, errors = process.communicate(timeout=60)
            self.assertEqual((process.returncode, errors), (128 + number, ""))
            self.assertRegex(output, r"stopped in epoch \d, behind step \d+ of the run; saved in run\nto go on: \S+ train --resume run\n\Z")
            run = []
        self.run_tool("train", "--resume", "run")
        self.assert_equal_runs("run", "unbroken")

    def test_killed(self):
        arguments = [*SHORT, "--limit-train", "600"]
        self.run_tool(*arguments, "--out", "unbroken")
        process = self.start(*arguments, "--out", "run")
        self.wait_for(process, lambda: self.rows_of("run") >= 1)
        process.kill()
        process.communicate()
        write(self.path("run", "best.safetensors.tmp1.0"), b"what a kill in the middle of writing leaves")
        self.run_tool("train", "--resume", "run")
        self.assert_equal_runs("run", "unbroken")

    def test_a_second_interrupt_leaves_at_once(self):
        # One step of this takes seconds.
        process = self.start("train", "--model", "alexnet32", "--dataset", "synthetic", "--batch-size", "8192", "--threads", "1",
                             "--out", "run")
        self.wait_for(process, lambda: self.rows_of("run") == 0)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, -signal.SIGINT)
        self.assertLess(time.monotonic() - start, 1.5)

    def test_a_run_json_of_before_a_setting(self):
        """Settings that came later have their defaults where they are missing."""
        arguments = [*SHORT, "--limit-train", "64", "--limit-test", "0", "--epochs", "2"]
        self.run_tool(*arguments, "--out", "unbroken")
        self.run_tool(*arguments, "--out", "run", "--stop-after", "1")
        run = json.loads(content(self.path("run", "run.json")))
        for key in "limit_test", "skip_nonfinite", "sync_batch_norm":
            del run["settings"][key]
        write(self.path("run", "run.json"), json.dumps(run).encode())
        self.run_tool("train", "--resume", "run")
        self.assert_equal_runs("run", "unbroken")

    def test_refusals(self):
        self.run_tool(*SHORT, "--out", "good", "--stop-after", "1", "--limit-train", "64")
        self.run_tool(*SHORT, "--out", "other", "--stop-after", "1", "--limit-train", "64", "--model", "alexnet32")
        run = json.loads(content(self.path("good", "run.json")))
        csv = content(self.path("good", "metrics.csv"))

        def changed(**settings):
            return json.dumps({**run, "settings": {**run["settings"], **settings}}).encode()

        def without(key):
            return json.dumps({**run, "settings": {k: v for k, v in run["settings"].items() if k != key}}).encode()

        def progress(**metadata):
            tensors, there = safetensors.read(self.path("good", "trainer.safetensors"))
            safetensors.write(self.path("changed"), tensors, {**there, **metadata})
            return content(self.path("changed"))

        for name, data, expected in [
            ("run.json", None, ["run.json", "No such file"]),
            ("run.json", b"{", ["run.json", "expected"]),
            ("run.json", b"{}", ['key "settings"', "found nothing"]),
            ("run.json", changed(lr="fast"), ['key "lr"', 'the string "fast"', "a number"]),
            ("run.json", changed(schedule="stairs"), ["unknown schedule 'stairs'", "one-cycle"]),
            ("run.json", changed(loss="cross-\n\x1b[31mentropy"), ["found 'cross-\\u000a\\u001b[31mentropy'"]),
            ("run.json", changed(model="resnet"), ["unknown model 'resnet'", "small, small-winograd, small100, alexnet32"]),
            ("run.json", without("seed"), ['key "seed"', "found nothing"]),
            ("run.json", changed(lr=0.3), ["trainer.safetensors", "'lr' is '0.1'", "expected '0.3'"]),
            ("run.json", changed(augment=False), ["trainer.safetensors", "'augment' is '1'", "expected '0'"]),
            ("run.json", changed(batch_size=0), ["batch size is 0", "at least 1"]),
            ("run.json", changed(batch_size=32), ["'batch_size' is '64'", "expected '32'"]),
            ("run.json", changed(val_size=-1), ['key "val_size"', "found -1", "expected 0 to"]),
            ("run.json", changed(limit_train=-1), ['key "limit_train"', "found -1", "expected 0 to"]),
            ("run.json", changed(test_shift=-2147483648), ['key "test_shift"', "found -2147483648", "expected 0 to"]),
            ("run.json", changed(patience=-1), ['key "patience"', "found -1", "expected 0 to"]),
            ("metrics.csv", None, ["metrics.csv", "No such file"]),
            ("metrics.csv", b"epoch\n", ["metrics.csv: line 1", "expected"]),
            ("metrics.csv", csv[:csv.index(b"\n") + 1], ["metrics.csv: line 2", "end of the file"]),
            ("metrics.csv", csv.replace(b"\n1,", b"\n2,"), ["metrics.csv: line 2", "expected epoch 1"]),
            ("metrics.csv", csv[:-9] + b"\n", ["metrics.csv: line 2", "seven numbers"]),
            ("metrics.csv", csv[:csv.index(b"\n1,")] + b"\n1,0.1,1,0.5,1,nan,100,1\n", ["metrics.csv: line 2", "seven numbers"]),
            ("metrics.csv", csv[:csv.index(b"\n1,")] + b"\n1,0.1,1,0.5,1,0.5,100,1e300\n", ["metrics.csv: line 2", "seven numbers"]),
            ("trainer.safetensors", None, ["trainer.safetensors", "No such file"]),
            ("trainer.safetensors", content(self.path("good", "trainer.safetensors"))[:-1], ["trainer.safetensors", "bytes"]),
            ("trainer.safetensors", content(self.path("good", "last.safetensors")), ["no metadata 'format'"]),
            ("trainer.safetensors", progress(epoch="-1"), ["trainer.safetensors: metadata 'epoch': found -1", "expected 0 to"]),
            ("trainer.safetensors", progress(batch="-5"), ["trainer.safetensors: metadata 'batch': found -5", "expected 0 to"]),
            ("trainer.safetensors", content(self.path("other", "trainer.safetensors")),
             ['tensor "0.weight": found F32 [96, 3, 11, 11], expected F32 [32, 3, 5, 5]']),
        ]:
            with self.subTest(name, expected=expected):
                shutil.rmtree(self.path("bad"), ignore_errors=True)
                shutil.copytree(self.path("good"), self.path("bad"))
                if data is None:
                    os.remove(self.path("bad", name))
                else:
                    write(self.path("bad", name), data)
                before = {name: content(self.path("bad", name)) for name in os.listdir(self.path("bad"))}
                message = self.refusal("train", "--resume", "bad")
                for piece in expected:
                    self.assertIn(piece, message)
                self.assertEqual({name: content(self.path("bad", name)) for name in os.listdir(self.path("bad"))}, before)
        # An epoch whose steps were all skipped has no loss and no accuracy of training.
        write(self.path("good", "metrics.csv"), csv[:csv.index(b"\n1,")] + b"\n1,0.1,nan,nan,1,0.5,0.0,1\n")
        self.run_tool("train", "--resume", "good")
        for option in (["--lr", "0.2"], ["--base-lr", "0"], ["--epochs", "9"], ["--no-augment"], ["--augment"], ["--decay-bias"],
                       ["--no-decay-bias"], ["--sync-batch-norm"], ["--model", "small"], ["--out", "elsewhere"]):
            self.assertTrue(self.refusal("train", "--resume", "good", *option).startswith(f"{option[0]} cannot be given with --resume: "))
        write(self.path("recipe.toml"), b"lr = 0.2\n")
        self.assertIn("recipe.toml: --lr cannot be given", self.refusal("train", "--resume", "good", "--config", "recipe.toml"))
        self.assertIn("nowhere", self.refusal("train", "--resume", "nowhere"))


if __name__ == "__main__":
    unittest.main()
