#!/usr/bin/env python3
"""ctnn_bench on its smallest layer, and the scripts that take what it writes: that they work and agree, not how fast.

CTNN_BENCH names the program.
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "benchmarks"
LAYER, PROBLEM = "SmallAlexNet linear", "mb128ic96oc10"
DIRECTIONS = ["forward", "backward data", "backward weights"]


def run(*command) -> subprocess.CompletedProcess:
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=300)


def bench(*arguments) -> subprocess.CompletedProcess:
    return run(os.environ["CTNN_BENCH"], *arguments)


class BenchTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def assert_refuses(self, result: subprocess.CompletedProcess, *pieces: str):
        """One line on standard error with these pieces."""
        self.assertNotEqual(result.returncode, 0)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        for piece in pieces:
            self.assertIn(piece, result.stderr)

    def kernels(self, *arguments) -> dict:
        path = self.folder / "kernels.json"
        result = bench("kernels", "--threads", 1, "--repeats", 3, "--json", path, *arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(path.read_text("utf-8"))


class Kernels(BenchTest):
    def test_figures(self):
        data = self.kernels("--filter", LAYER)
        self.assertEqual((data["benchmark"], data["threads"]), ("kernels", 1))
        for limit in ("gflops", "read_gbytes", "triad_gbytes"):
            self.assertGreater(data["limits"][limit], 0)
        for fact in ("processor", "compiler", "isa", "ctnn"):
            self.assertTrue(data["machine"][fact])
        self.assertEqual([row["direction"] for row in data["kernels"]], DIRECTIONS)
        for row in data["kernels"]:
            self.assertEqual((row["layer"], row["problem"], row["runs"]), (LAYER, PROBLEM, 3))
            self.assertEqual(row["flops"], 2 * 128 * 96 * 10)
            # Inputs, outputs and weights, once each.
            self.assertEqual(row["bytes"], 4 * (128 * 96 + 128 * 10 + 96 * 10))
            # Sums of 128 products at most, rounded to 2^-24 each, of entries near the largest.
            self.assertLess(row["error"], 128 * 2**-24)
            times = [row, *row["peers"].values()]
            self.assertEqual(list(row["peers"]), list(data["peers"]))  # all of them know linear layers
            for time in times:
                self.assertGreater(time["seconds_fastest"], 0)
                self.assertGreaterEqual(time["seconds_p10"], time["seconds_fastest"])

    def test_problem_and_direction(self):
        for text in (PROBLEM, "mb128_ic96_ih1_oc10_oh1_kh1nany name"):
            rows = self.kernels(text, "--dir", "bwd_w")["kernels"]
            self.assertEqual([(row["problem"], row["direction"]) for row in rows], [(PROBLEM, "backward weights")])

    def test_streams(self):
        path = self.folder / "streams.json"
        result = bench("streams", "--filter", "pool", "--repeats", 2, "--json", path)
        self.assertEqual(result.returncode, 0, result.stderr)
        rows = json.loads(path.read_text("utf-8"))["streams"]
        self.assertIn(("max pool 2/2, 32x32x32", "backward"), {(row["loop"], row["pass"]) for row in rows})
        self.assertTrue(all(row["bytes"] > 0 and row["seconds_fastest"] > 0 for row in rows))

    def test_list(self):
        layers = dict(re.split(r"\s{2,}", line) for line in bench("kernels", "--list").stdout.splitlines())
        self.assertEqual(layers[LAYER], PROBLEM)
        self.assertEqual(layers["AlexNet32 conv1"], "mb128ic3ih32oc96kh11sh4ph2")
        self.assertEqual(bench("kernels", "--list", *layers.values()).stdout, bench("kernels", "--list").stdout)

    def test_refusals(self):
        for arguments, *pieces in (
                (["compile"], "'compile'", "kernels, streams or steps"),
                (["kernels", "--batch", 3], "'--batch' is no option of kernels"),
                (["kernels", "--threads", 0], "--threads: found '0'"),
                (["kernels", "--seconds", "nan"], "--seconds: found 'nan'"),
                (["kernels", "--json", self.folder / "no" / "file"], "--json: found"),
                (["kernels", "--json"], "--json: expected a value"),
                (["kernels", "--filter", "nothing"], "no layer with 'nothing'"),
                (["kernels", "--dir", "sideways"], "--dir: found 'sideways'", "bwd_w"),
                (["kernels", "mb1ic3"], "problem mb1ic3: expected oc of at least 1"),
                (["kernels", "mb1ic3oc4kh3"], "3x3, is larger than the padded input"),
                (["kernels", "mb1g2ic3oc4"], "found 2 groups"),
                (["kernels", "mb1ic3ih8oc4oh8kh3ph0"], "found oh8, expected oh6"),
                (["kernels", "mb1ic3ih8oc4kh3dh2"], "found 'dh'"),
                (["kernels", "mb0ic0oc4"], "mb0ic0oc4: expected mb of at least 1"),
                (["kernels", "mb1ic3oc4kh1000000"], "1 to 6 digits behind kh"),
                (["kernels", "mb1ic3oc4oh999999sh999999kh3"], "expected oh2 by"),
                (["kernels", "mb1mb1ic3oc4"], "found mb twice"),
                (["kernels", "mb7ic3oc4"], "problem mb7ic3oc4: found no such layer", "benchmarks/problem.py mb7ic3oc4"),
                (["steps", "--filter", "nothing"], "no network with 'nothing'")):
            with self.subTest(arguments=arguments):
                self.assert_refuses(bench(*arguments), "ctnn_bench: ", *pieces)
        self.assert_refuses(run(sys.executable, SCRIPTS / "problem.py", 'mb1";'), "problem.py: problem mb1")


class Report(BenchTest):
    """report.py on a copy of the page, on real figures and on made ones."""

    def setUp(self):
        super().setUp()
        self.page = self.folder / "page.md"
        self.page.write_text((ROOT / "docs" / "performance.md").read_text("utf-8"), "utf-8")

    def report(self, *files) -> subprocess.CompletedProcess:
        return run(sys.executable, SCRIPTS / "report.py", *files, "--page", self.page)

    def write(self, name: str, **figures) -> pathlib.Path:
        path = self.folder / name
        path.write_text(json.dumps({"machine": {"processor": "P", "cores": 2}, **figures}), "utf-8")
        return path

    def parts(self) -> dict[str, str]:
        return dict(re.findall(r"(?s)<!-- begin (\w+) -->(.*?)<!-- end \1 -->", self.page.read_text("utf-8")))

    def test_kernels(self):
        before = self.page.read_text("utf-8")
        data = self.kernels("--filter", LAYER)
        result = self.report(self.folder / "kernels.json")
        self.assertEqual(result.returncode, 0, result.stderr)
        rows = [line for line in self.parts()["kernels"].splitlines() if line.startswith(f"| {LAYER} | ")]
        self.assertEqual([line.split(" | ")[1] for line in rows], DIRECTIONS)
        speed = 1e-9 * data["kernels"][0]["flops"] / data["kernels"][0]["seconds_fastest"]
        self.assertIn(f"| {speed:.1f} |", rows[0])
        # What stands between the parts is nobody's but the author's; parts without figures stay.
        outside = r"(?s)<!-- begin (machine|goals|kernels) -->.*?<!-- end \1 -->"
        self.assertEqual(re.sub(outside, "", before), re.sub(outside, "", self.page.read_text("utf-8")))

    def test_goals(self):
        compare = self.write("compare.json", benchmark="compare", threads=2, programs=["ctnn", "PyTorch 9"], compare=[
            {"network": "SmallAlexNet", "pass": "train", "batch": 128, "ctnn_ms": 10, "pytorch_ms": 25,
             "pytorch_format": "channels_last", "ratio_p10": 2.5, "ratio_fastest": 2.4}])
        steps = self.write("steps.json", benchmark="steps", threads=2, limits={"gflops": 100, "read_gbytes": 10,
                                                                               "triad_gbytes": 10}, steps=[
            {"network": "AlexNet32", "pass": "train", "batch": 128, "seconds_fastest": 2, "seconds_p10": 2,
             "seconds_limit": 1, "plan_bytes": 10 << 20}])
        size = {"peak_bytes": 1e8, "object_bytes": 1e5, "program_bytes": None, "source": "a.cpp"}
        compile_ = self.write("compile.json", benchmark="compile", flags="-O3", compile=[
            {"program": "train SmallAlexNet", "compiler": "GCC 1", "elapsed_seconds": 16, "user_seconds": 15, **size}])
        result = self.report(compare, steps, compile_)
        self.assertEqual(result.returncode, 0, result.stderr)
        goals = self.parts()["goals"]
        for goal, bound, reached, met in (
                ("SmallAlexNet, training step, 2 threads: PyTorch's time to ours", "≥ 2", "2.50", "yes"),
                ("AlexNet32, training step, 2 threads: share of the limit", "≥ 70 %", "50 %", "**no**"),
                ("AlexNet32, activations and workspace of a training step", "≤ 20 MiB", "10.0 MiB", "yes"),
                ("compiling a program: train SmallAlexNet, GCC 1", "≤ 15 s, ≤ 1 GB", "16.0 s, 0.10 GB", "**no**")):
            self.assertIn(f"| {goal} | {bound} | {reached} | {met} |", goals)
        self.assertIn("PyTorch 9", self.parts()["machine"])

    def test_refusals(self):
        missing, strange = self.folder / "missing.json", self.write("strange.json", benchmark="other")
        empty = self.write("empty.json")
        self.assert_refuses(self.report(missing), "report.py: ", "missing.json: No such file")
        self.assert_refuses(self.report(strange), "strange.json: found the benchmark 'other'")
        self.assert_refuses(self.report(empty), "empty.json: ", "'benchmark'")
        self.page.write_text("no parts", "utf-8")
        self.assert_refuses(self.report(self.write("compile.json", benchmark="compile", flags="", compile=[])),
                            "begin machine")


if __name__ == "__main__":
    unittest.main()
