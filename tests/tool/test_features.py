"""Features of training that are one flag each, and settings from files."""

import json
import math
import unittest

from tool import SHORT, TEST, ToolTest, content, safetensors, write

FLAT = [*SHORT, "--schedule", "constant"]


class Features(ToolTest):
    def settings(self, run):
        return json.loads(content(self.path(run, "run.json")))["settings"]

    def weights(self, run):
        return safetensors.read(self.path(run, "last.safetensors"))[0]

    def compared(self, *flags, base=FLAT):
        """The rows of a run without the flags, and of one with them."""
        self.run_tool(*base, "--out", "without")
        self.run_tool(*base, *flags, "--out", "with")
        return self.rows("without"), self.rows("with")

    def test_a_config_file_sets_options_and_flags_win(self):
        write(self.path("recipe.toml"), b'# a recipe\nlr = 0.02\nbatch-size = 32\nschedule = "cosine"\nnesterov = false\n'
                                        b'optimizer = "sgd"\nlabel-smoothing = 0.25\nlr-scales = "9=0.5,Linear=2@1"\n')
        self.run_tool("train", "--config", "recipe.toml", "--dataset", "synthetic", "--limit-train", "64", "--limit-test", "200",
                      "--epochs", "1", "--lr", "0.03", "--out", "run")
        expected = {"lr": 0.03, "batch_size": 32, "schedule": "cosine", "nesterov": False, "label_smoothing": 0.25,
                    "epochs": 1, "momentum": 0.9}
        found = self.settings("run")
        self.assertEqual({key: found[key] for key in expected}, expected)

    def asked(self, *arguments):
        """The settings of a run that was asked for by these options."""
        self.asked_for = getattr(self, "asked_for", 0) + 1
        self.run_tool("train", "--dataset", "synthetic", "--limit-train", "64", "--limit-test", "16", "--stop-after", "1",
                      "--no-tensorboard", "--out", f"asked{self.asked_for}", *arguments)
        return self.settings(f"asked{self.asked_for}")

    def assert_settings(self, found, **expected):
        self.assertEqual({key: found.get(key) for key in expected}, expected)

    def test_an_optimizer_brings_its_defaults(self):
        for name, lr in ("adam", 0.001), ("adamw", 0.001):
            self.assert_settings(self.asked("--optimizer", name), optimizer=name, lr=lr, decay_biases_and_norms=False)
        self.assert_settings(self.asked("--optimizer", "adamw", "--decay-bias", "--lr", "0.002"), lr=0.002,
                             decay_biases_and_norms=True)
        self.assert_settings(self.asked("--optimizer", "lars"), optimizer="lars", lr=4)
        self.assert_settings(self.asked("--optimizer", "lars", "--base-lr", "2"), lr=1)
        self.assert_settings(self.asked("--preset", "lars", "--optimizer", "lars", "--batch-size", "512", "--micro-batch", "64"),
                             lr=2, schedule="polynomial")
        self.assert_settings(self.asked("--base-lr", "0"), lr=0)

    def test_lars_trains_by_its_defaults(self):
        self.run_tool(*SHORT, "--limit-train", "1200", "--optimizer", "lars", "--out", "run")
        self.assertGreater(self.rows("run")[-1]["train_accuracy"], 0.2)  # 0.1 by chance, and by SGD's rate

    def test_options_change_another_run(self):
        first = self.asked("--epochs", "7", "--whiten", "--lr-scales", "1=2", "--batch-size", "32")
        self.assert_settings(first, lr_scales="1=2,0.weight=0", warmup_epochs=1.4, step_size=3)
        run = ["--config", "asked1/run.json"]
        self.assertEqual(self.asked(*run), first)
        self.assertEqual(self.asked(*run, "--whiten"), first)
        self.assertEqual(self.asked(*run, "--base-lr", "0.4", "--epochs", "8"), {**first, "lr": 0.05, "epochs": 8})
        self.assertEqual(self.asked(*run, "--whiten=false"), {**first, "whiten": False, "lr_scales": "1=2"})
        self.assertEqual(self.asked(*run, "--lr-scales", "4=3"), {**first, "lr_scales": "4=3,0.weight=0"})
        adam = self.asked(*run, "--optimizer", "adamw")
        self.assert_settings(adam, lr=0.001, decay_biases_and_norms=False, weight_decay=0.01, epochs=7, warmup_epochs=1.4)
        self.assertEqual(self.asked("--config", f"asked{self.asked_for}/run.json", "--optimizer", "sgd"), first)
        self.assert_settings(self.asked("--config", "asked7/run.json", "--optimizer", "adamw", "--lr", "0.003"), lr=0.003)

    def test_flags_win_over_a_file_of_the_other_rate(self):
        write(self.path("lr.toml"), b"lr = 0.02\n")
        write(self.path("base.toml"), b"base-lr = 0.02\n")
        self.assert_settings(self.asked("--config", "lr.toml", "--base-lr", "0.4"), lr=0.2)
        self.assert_settings(self.asked("--config", "base.toml", "--lr", "0.3"), lr=0.3)
        self.assert_settings(self.asked("--config", "base.toml"), lr=0.01)

    def test_run_json_is_a_run_again(self):
        self.run_tool(*SHORT, "--seed", "9", "--mixup", "0.3", "--ema", "0.9", "--cutout", "6", "--out", "first")
        self.run_tool("train", "--config", "first/run.json", "--out", "second")
        self.assertEqual(self.settings("first"), self.settings("second"))
        first, second = self.files("first"), self.files("second")
        for name in "last.safetensors", "trainer.safetensors", "metrics.csv":
            self.assertEqual(first[name], second[name], name)

    def test_micro_batches_make_the_same_step(self):
        # No batch norm and no dropout before the first step's loss: equal but for the order of sums.
        base = [*FLAT, "--model", "alexnet32", "--limit-train", "64", "--epochs", "1"]
        without, split = self.compared("--micro-batch", "20", base=base)
        self.assertGreater(without[0]["train_loss"], 1)
        self.assertAlmostEqual(split[0]["train_loss"], without[0]["train_loss"], delta=1e-5)
        self.assertAlmostEqual(split[0]["eval_loss"], without[0]["eval_loss"], delta=1e-3)

    def test_the_averaged_model_is_evaluated_and_kept(self):
        without, averaged = self.compared("--ema", "0.99")
        self.assertEqual([row["train_loss"] for row in averaged], [row["train_loss"] for row in without])
        self.assertNotEqual(averaged[-1]["eval_loss"], without[-1]["eval_loss"])
        self.assertNotEqual(self.weights("with"), self.weights("without"))
        evaluated = self.run_tool("eval", "--weights", "with/last.safetensors", *TEST)
        self.assertIn(f"\nloss {averaged[-1]['eval_loss']:.4f}\n", evaluated)

    def test_mixup_changes_what_is_trained_alone(self):
        without, mixed = self.compared("--mixup", "1", "--epochs", "1")
        self.assertNotAlmostEqual(mixed[0]["train_loss"], without[0]["train_loss"], delta=1e-3)
        self.assertEqual(self.settings("with")["mixup"], 1)

    def test_flips_at_test_time(self):
        without, flipped = self.compared("--test-flip")
        self.assertEqual([row["train_loss"] for row in flipped], [row["train_loss"] for row in without])
        self.assertNotEqual(flipped[-1]["eval_loss"], without[-1]["eval_loss"])

    def test_patience_ends_a_run_that_does_not_get_better(self):
        # A rate that moves nothing, so that no epoch beats the first.
        output = self.run_tool(*FLAT, "--lr", "1e-30", "--lr-scales", "BatchNorm2d=0", "--epochs", "9", "--patience", "1",
                               "--out", "run")
        self.assertLess(len(self.rows("run")), 9)
        self.assertIn("results in run", output)

    def test_steps_that_are_not_finite_are_skipped(self):
        # The loss of a batch with a picture of the last class overflows.
        run = ["train", "--dataset", "synthetic", "--limit-train", "160", "--limit-test", "200", "--batch-size", "8",
               "--epochs", "2", "--label-smoothing", "0", "--class-weights", "1,1,1,1,1,1,1,1,1,1.7e308",
               "--skip-nonfinite", "20"]
        output = self.run_tool(*run, "--out", "unbroken")
        rows = self.rows("unbroken")
        skipped = [int(row["skipped"]) for row in rows]
        for row, line in zip(rows, [line for line in output.splitlines() if line.endswith(" skipped")]):
            self.assertTrue(line.endswith(f"  {row['skipped']:.0f} skipped"), line)
            self.assertTrue(0 < row["skipped"] < 20 and row["train_loss"] < 5, row)
        self.assertIn(f"\n{sum(skipped)} of 40 steps were skipped: their loss or gradients were not finite\n", output)
        self.assertIn("report.html", output)
        self.run_tool(*run, "--out", "run", "--stop-after", "1")
        self.run_tool("train", "--resume", "run", "--threads", "2")
        found, expected = self.files("run"), self.files("unbroken")
        for name in "last.safetensors", "trainer.safetensors", "metrics.csv":
            self.assertEqual(found[name], expected[name], name)
        self.assertIn("step 0: the loss is not finite; every layer's output is", self.refusal(*run[:-2], "--out", "other"))

    def test_an_evaluation_that_is_not_finite_is_said_and_is_never_the_best(self):
        self.run_tool(*SHORT, "--out", "run", "--stop-after", "2")
        path = self.path("run", "trainer.safetensors")
        tensors, metadata = safetensors.read(path)
        # Training takes the batch's statistics; inference, with these, overflows.
        mean = tensors["1.running_mean"]
        tensors["1.running_mean"] = safetensors.Tensor.of("F32", mean.shape, [-3.4e38] * len(mean.values()))
        safetensors.write(path, tensors, metadata)
        process = self.start("train", "--resume", "run")
        output, errors = process.communicate(timeout=300)
        self.assertEqual(process.returncode, 0, errors)
        self.assertEqual(errors, "alexnet: epoch 3: 200 of the 200 test images have outputs that are NaN; they count as "
                                 "wrong\n")
        self.assertRegex(output, r"\n +3 +[\d.]+ +[\d.]+ +[\d.]+ % +nan +0\.00 % ")
        row = self.rows("run")[-1]
        self.assertTrue(math.isnan(row["eval_loss"]) and row["eval_accuracy"] == 0, row)
        self.assertNotIn("best.safetensors (epoch 3", output)
        self.assertIn("report.html", output)

    def test_whitening_filters_stay_as_they_are(self):
        for run, lr in ("slow", "0.01"), ("fast", "0.1"):
            self.run_tool(*SHORT, "--whiten", "--epochs", "1", "--lr", lr, "--out", run)
        slow, fast = self.weights("slow"), self.weights("fast")
        self.assertEqual(slow["0.weight"], fast["0.weight"])
        self.assertNotEqual(slow["4.weight"], fast["4.weight"])
        for run, flags in ("plain", []), ("fewer", ["--whiten", "--limit-train", "64"]):  # images that do not train do not count
            self.run_tool(*SHORT, *flags, "--epochs", "1", "--out", run)
            self.assertNotEqual(self.weights(run)["0.weight"], slow["0.weight"])

    def test_presets_follow_the_batch_size(self):
        for batch, lr in ("512", 2), ("4096", 10):
            self.run_tool("train", "--preset", "lars", "--dataset", "synthetic", "--limit-train", "32", "--limit-test", "200",
                          "--batch-size", batch, "--micro-batch", "32", "--epochs", "3", "--stop-after", "1", "--out", batch)
            found = self.settings(batch)
            self.assertEqual((found["optimizer"], found["lr"], found["schedule"], found["power"]),
                             ("lars", lr, "polynomial", 2))


if __name__ == "__main__":
    unittest.main()
