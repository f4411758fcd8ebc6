"""alexnet train, eval and info as a user calls them."""

import json
import os
import pty
import re
import struct
import unittest

from tool import BINARY, SHORT, TEST, ToolTest, content, safetensors


class Train(ToolTest):
    def test_a_run_leaves_its_files_and_eval_agrees(self):
        output = self.run_tool(*SHORT, "--out", "run", "--seed", "3")
        events, = set(os.listdir(self.path("run"))) - self.files("run").keys() - {"report.html"}
        self.assertRegex(events, r"\Aevents\.out\.tfevents\.\d{10}\.\S+\.\d+\.0\Z")
        self.assertEqual(list(self.files("run")),
                         ["best.safetensors", "last.safetensors", "metrics.csv", "run.json", "trainer.safetensors"])
        rows = self.rows("run")
        self.assertEqual([row["epoch"] for row in rows], [1, 2, 3])
        self.assertLess(rows[-1]["train_loss"], rows[0]["train_loss"])
        best = max(rows, key=lambda row: row["eval_accuracy"])  # the first among equals, as the tool has it
        for name, row in ("best", best), ("last", rows[-1]):
            evaluated = self.run_tool("eval", "--weights", f"run/{name}.safetensors", *TEST)
            self.assertIn(f"\nloss {row['eval_loss']:.4f}\n", evaluated)
            self.assertTrue(evaluated.endswith(f"\naccuracy {100 * row['eval_accuracy']:.2f} %\n"), evaluated)
        # Recalls are of equally many images each, so their mean is the accuracy; training prints the same lines.
        recalls = [float(x) for x in re.findall(r"^recall \S.* (\d+\.\d\d) %$", evaluated, re.M)]
        self.assertEqual(len(recalls), 10)
        self.assertAlmostEqual(sum(recalls) / 10, 100 * rows[-1]["eval_accuracy"], delta=0.02)
        self.assertIn(evaluated[evaluated.index("loss"):], output)
        self.assertIn("results in run: ", output.splitlines()[-1])

        run = json.loads(content(self.path("run", "run.json")))
        self.assertEqual(run["network"], "SmallAlexNet")
        self.assertLessEqual({"ctnn", "compiler", "isa", "threads"}, run.keys())
        expected = {"model": "small", "dataset": "synthetic", "limit_train": 300, "batch_size": 64, "seed": 3, "epochs": 3,
                    "lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4, "schedule": "linear",
                    "decay_biases_and_norms": False, "label_smoothing": 0.1, "augment": True, "val_size": 0}
        self.assertEqual({key: run["settings"][key] for key in expected}, expected)

    def test_options_reach_the_run(self):
        self.run_tool(*SHORT, "--out", "run", "--epochs", "1", "--optimizer", "sgd", "--lr", "0.01", "--momentum", "0.5",
                      "--no-nesterov", "--weight-decay", "0.25", "--decay-bias", "--label-smoothing", "0",
                      "--schedule", "one-cycle", "--clip-norm", "2", "--no-augment", "--threads", "1")
        settings = json.loads(content(self.path("run", "run.json")))["settings"]
        expected = {"lr": 0.01, "momentum": 0.5, "nesterov": False, "weight_decay": 0.25, "decay_biases_and_norms": True,
                    "label_smoothing": 0, "schedule": "one-cycle", "clip_norm": 2, "augment": False, "warmup_epochs": 0}
        self.assertEqual({key: settings[key] for key in expected}, expected)

    def test_every_schedule_is_known(self):
        for schedule in "constant", "step", "linear", "cosine", "polynomial", "one-cycle":
            self.run_tool(*SHORT, "--out", schedule, "--schedule", schedule, "--stop-after", "1", "--limit-train", "64")
        # Warmup multiplies: the first step's rate is 0, and constant has none unless it is asked for.
        self.assertEqual(self.rows("linear")[0]["lr"], 0)
        self.assertEqual(self.rows("constant")[0]["lr"], 0.1)

    def test_validation_chooses_the_best(self):
        output = self.run_tool(*SHORT, "--out", "run", "--val-size", "500")
        self.assertIn("300 images train, 500 validate, 200 test", output)
        self.assertIn("val acc", output)
        best = max(self.rows("run"), key=lambda row: row["eval_accuracy"])
        self.assertIn(f"validation accuracy {100 * best['eval_accuracy']:.2f} %", output)
        self.assertEqual(best["eval_accuracy"] * 500 % 1, 0)

    def test_quiet_prints_the_end_alone(self):
        output = self.run_tool(*SHORT, "--out", "run", "--epochs", "1", "--quiet")
        self.assertRegex(output, r"\Aaccuracy \d+\.\d\d %\nresults in run: [^\n]+\n\Z")

    def test_eval_with_half_weights(self):
        self.run_tool(*SHORT, "--out", "run", "--epochs", "1")
        arguments = ["eval", "--weights", "run/last.safetensors", *TEST]
        loss = {}
        for half in [], ["--half"]:
            output = self.run_tool(*arguments, *half)
            self.assertEqual("half precision" in output.splitlines()[0], bool(half))
            loss[bool(half)] = float(re.search(r"^loss (\d+\.\d+)$", output, re.M).group(1))
        # Weights that are off by 2^-11 of themselves, in one layer of ten outputs.
        self.assertAlmostEqual(loss[True], loss[False], delta=0.01)

    def test_runs_do_not_overwrite_each_other(self):
        for _ in range(2):
            self.run_tool(*SHORT, "--epochs", "1", "--limit-train", "64")
        self.assertEqual(sorted(os.listdir(self.path("runs"))), ["small-synthetic", "small-synthetic-2"])
        before = self.files("runs/small-synthetic")
        self.assertIn("--resume", self.refusal(*SHORT, "--out", "runs/small-synthetic"))
        self.assertEqual(self.files("runs/small-synthetic"), before)

    def test_cifar10_is_found_and_named(self):
        os.mkdir(self.path("datasets"))
        self.cifar10("datasets/cifar10")
        arguments = ["train", "--limit-train", "64", "--limit-test", "32", "--epochs", "1"]
        self.assertIn("CIFAR-10 in datasets/cifar10: 64 images train, 0 validate, 32 test", self.run_tool(*arguments))
        self.run_tool(*arguments, "--data-dir", "datasets/cifar10", "--out", "named", "--quiet")
        self.assertEqual(self.files("named")["last.safetensors"],
                         self.files("runs/small-cifar10")["last.safetensors"])

    def test_pytorch_style_weights_are_evaluated_by_name_of_the_model(self):
        self.run_tool(*SHORT, "--out", "run", "--epochs", "1", "--limit-train", "64")
        tensors, metadata = safetensors.read(self.path("run", "last.safetensors"))
        self.assertEqual(metadata["model"], "SmallAlexNet")
        safetensors.write(self.path("bare.safetensors"), tensors)
        self.assertIn("--model", self.refusal("eval", "--dataset", "synthetic", "--weights", "bare.safetensors"))
        self.assertIn("accuracy", self.run_tool("eval", *TEST, "--weights", "bare.safetensors", "--model", "small"))


class Info(ToolTest):
    def test_tables_add_up(self):
        output = self.run_tool("info", "--all", "--batch-size", "32", "--threads", "3")
        for title, count in ("SmallAlexNet ", 387_690), ("SmallAlexNetWinograd", 387_690), ("AlexNet32", 21_622_154):
            part = output[output.index(title):]
            table = part[part.index("layer "):part.index("multiply-adds are")].splitlines()[1:]
            numbers = [tuple(map(int, line.split()[-2:])) for line in table]
            self.assertEqual(numbers[-1][0], count)
            for column in 0, 1:
                self.assertEqual(sum(row[column] for row in numbers[:-1]), numbers[-1][column])
            for plan in "training", "inference":
                found = re.search(rf"{plan} plan (\d+) bytes \S+ MiB\) for batch 32 on 3 threads: "
                                  r"(\d+) an image, (\d+) a thread, (\d+) fixed", part)
                total, image, thread, fixed = map(int, found.groups())
                self.assertEqual(total, 32 * image + 3 * thread + fixed)

    def test_one_model(self):
        self.assertNotIn("SmallAlexNet", self.run_tool("info", "--model", "alexnet32"))


class Terminal(ToolTest):
    def on_terminal(self, *arguments, columns=100, **environment):
        """What the tool writes when standard output and standard error are a terminal."""
        child, descriptor = pty.fork()
        if child == 0:
            os.chdir(self.folder)
            os.environ.pop("NO_COLOR", None)
            os.environ.update({"TERM": "xterm", **environment})
            os.execv(BINARY, [BINARY, *arguments])
        import fcntl
        import termios
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        output = b""
        while True:
            try:
                piece = os.read(descriptor, 65536)
            except OSError:  # the other side is closed
                break
            if not piece:
                break
            output += piece
        os.close(descriptor)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0, output)
        return output.decode()

    ARGUMENTS = [*SHORT, "--epochs", "2", "--limit-train", "600", "--out"]

    def test_a_bar_and_colour_on_a_terminal(self):
        output = self.on_terminal(*self.ARGUMENTS, "run")
        self.assertRegex(output, r"\repoch 1/2 \[#*\.*\] +\d+ %  +\d+ images/s  loss \d\.\d{4}  acc +\d+\.\d\d %  left 0:\d\d")
        self.assertIn("\033[32m", output)
        for line in re.findall(r"\r(epoch \d[^\r\033]*)", output):
            self.assertLess(len(line), 100)
        # The bar is gone before a line is printed.
        self.assertNotRegex(output, r"left 0:\d\d(\033\[K)? *\r?\n")

    def test_no_colour_where_it_is_not_wanted(self):
        self.assertNotRegex(self.on_terminal(*self.ARGUMENTS, "one", NO_COLOR="1"), r"\033\[\d+m")
        dumb = self.on_terminal(*self.ARGUMENTS, "two", TERM="dumb")
        self.assertNotIn("\033", dumb)
        self.assertNotIn("left", dumb)

    def test_plain_lines_elsewhere(self):
        output = self.run_tool(*self.ARGUMENTS, "run")
        self.assertNotRegex(output, r"[\r\033]")
        self.assertEqual(len(re.findall(r"^ +[12] ", output, re.M)), 2)

    def test_help_has_examples(self):
        for command in [], ["train"], ["eval"], ["report"], ["info"]:
            self.assertIn("Examples:\n  alexnet ", self.run_tool(*command, "--help"))
        self.assertRegex(self.run_tool("--version"), r"\A\d+\.\d+\.\d+\n\Z")


if __name__ == "__main__":
    unittest.main()
