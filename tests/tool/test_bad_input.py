"""Whatever is wrong is one clear line and a status that is not 0; nothing is half-loaded and nothing lost."""

import json
import math
import os
import pathlib
import re
import resource
import struct
import unittest

from tool import BATCH_BYTES, SHORT, TEST, ToolTest, content, safetensors, write


class Images(ToolTest):
    def message(self, *expected):
        arguments = ["train", "--data-dir", "cifar", "--out", "run", "--limit-train", "64", "--epochs", "1"]
        message = self.refusal(*arguments)
        for piece in expected:
            self.assertIn(piece, message)
        self.assertFalse(os.path.exists(self.path("run")))

    def test_no_folder(self):
        self.message("cifar: found no directory", "data_batch_1.bin")

    def test_empty_folder(self):
        os.mkdir(self.path("cifar"))
        self.message("cifar/data_batch_1.bin", "No such file")

    def test_missing_file(self):
        self.cifar10()
        os.remove(self.path("cifar", "test_batch.bin"))
        self.message("cifar/test_batch.bin", "No such file")

    def test_wrong_sizes(self):
        self.cifar10()
        for size in 0, BATCH_BYTES - 1, BATCH_BYTES + 1, 2 * BATCH_BYTES:
            os.truncate(self.path("cifar", "data_batch_3.bin"), size)
            self.message("cifar/data_batch_3.bin", f"found {size} bytes", f"expected {BATCH_BYTES}")

    def test_label_over_9(self):
        self.cifar10()
        with open(self.path("cifar", "data_batch_2.bin"), "r+b") as file:
            file.seek(7 * 3073)
            file.write(b"\x0a")
        self.message("cifar/data_batch_2.bin", "offset 21511", "found the label 10", "expected 0 to 9")

    def test_a_folder_for_a_file(self):
        self.cifar10()
        os.remove(self.path("cifar", "data_batch_5.bin"))
        os.mkdir(self.path("cifar", "data_batch_5.bin"))
        self.message("cifar/data_batch_5.bin", "found a directory")

    def test_class_names(self):
        self.cifar10()
        write(self.path("cifar", "batches.meta.txt"), b"cat\ndog\n")
        self.message("cifar/batches.meta.txt", "found 2 class names, expected 10")


class Options(ToolTest):
    def test_each_is_named_with_what_was_expected(self):
        for arguments, expected in [
            ([], ["subcommand"]),
            (["paint"], ["paint"]),
            (["train", "--epoch", "3"], ["--epoch"]),
            (["train", "3"], ["3"]),
            (["train", "--model", "resnet"], ["--model", "resnet", "small,small-winograd,small100,alexnet32"]),
            (["train", "--dataset", "mnist"], ["--dataset", "mnist", "cifar10,cifar100,fashion-mnist,idx,folder,synthetic"]),
            (["train", "--optimizer", "adamax"], ["--optimizer", "adamax", "sgd, adam, adamw, lars"]),
            (["train", "--optimizer", "adam", "--nesterov"], ["--nesterov", "adam"]),
            (["train", "--preset", "lars", "--batch-size", "100"], ["100", "512, 4096"]),
            (["train", "--milestones", "3,x", "--schedule", "multi-step"], ["--milestones", "x"]),
            (["train", "--lr-scales", "nothing=0"], ["nothing"]),
            (["train", "--class-weights", "1,2"], ["class"]),
            (["train", "--batch-size", "0"], ["batch size is 0", "at least 1"]),
            (["train", "--batch-size", "-5"], ["batch size is -5", "at least 1"]),
            (["train", "--batch-size", "many"], ["--batch-size", "many"]),
            (["train", "--epochs", "0"], ["epochs is 0", "at least 1"]),
            (["train", "--lr", "-1"], ["lr is -1"]),
            (["train", "--lr", "nan"], ["lr is nan"]),
            (["train", "--momentum", "inf"], ["momentum is inf"]),
            (["train", "--weight-decay", "-1"], ["weight_decay is -1"]),
            (["train", "--clip-norm", "-1"], ["clip_norm is -1"]),
            (["train", "--momentum", "0", "--nesterov"], ["nesterov", "momentum"]),
            (["train", "--label-smoothing", "1.5"], ["label_smoothing is 1.5", "0 to 1"]),
            (["train", "--schedule", "stairs"], ["stairs", "constant, step, multi-step, linear, cosine, polynomial, one-cycle"]),
            (["train", "--warmup-epochs", "10"], ["warmup_epochs is 10", "below epochs"]),
            (["train", "--step-size", "0"], ["step_size is 0"]),
            (["train", "--val-size", "10000"], ["--val-size is 10000", "less than the 10000"]),
            (["train", "--val-size", "-1"], ["--val-size", "-1"]),
            (["train", "--limit-train", "-1"], ["--limit-train", "-1"]),
            (["train", "--limit-test", "-1"], ["--limit-test", "-1"]),
            (["train", "--threads", "0"], ["--threads", "0"]),
            (["train", "--stop-after", "0"], ["--stop-after", "0"]),
            (["train", "--rank-timeout", "nan"], ["--rank-timeout", "nan", "1 to 1000000"]),
            (["eval"], ["--weights"]),
            (["eval", "--weights", "x", "--batch-size", "0"], ["--batch-size", "0"]),
            (["eval", "--weights", "x", "--limit-test", "-1"], ["--limit-test", "-1"]),
            (["info", "--model", "resnet"], ["resnet"]),
        ]:
            with self.subTest(arguments):
                message = self.refusal(*arguments)
                for piece in expected:
                    self.assertIn(piece, message)
                self.assertEqual(os.listdir(self.folder), [])


class Config(ToolTest):
    def message(self, text, *expected, name="run.toml"):
        write(self.path(name), text)
        message = self.refusal("train", "--dataset", "synthetic", "--config", name)
        self.assertIn(name, message)
        for piece in expected:
            self.assertIn(piece, message)
        os.remove(self.path(name))
        self.assertEqual(os.listdir(self.folder), [])

    def test_each_is_named_with_file_and_key(self):
        self.message(b"lrr = 1\n", "'lrr'", "long option")
        self.message(b"[train]\nlr = 1\n", "train.lr")
        self.message(b'resume = "run"\n', "'resume'")
        self.message(b'nesterov = perhaps\n', "--nesterov: found perhaps, expected true or false")
        self.message(b'tensorboard = perhaps\n', "--tensorboard")
        self.message(b"help = true\n", "'help'")
        self.message(b'epochs = "ten"\n', "run.toml: --epochs: found 'ten', expected a number")
        self.message(b'beta1 = 0.8\n', "run.toml: --beta1: no setting of sgd with cross-entropy")
        self.message(b'optimizer = "adamw"\nnesterov = false\n', "run.toml: --no-nesterov: no setting of adamw")
        self.message(b'preset = "lars"\nbatch-size = 100\n', "run.toml: --preset: the LARS paper has no rate for batches of 100")
        self.message(b"lr = 1\nlr = 2\n", "run.toml: found the key 'lr' twice, expected it once")
        self.message(b"lr = 1\nepochs = 2\n 'lr' = 2\n", "run.toml: found the key 'lr' twice, expected it once")
        self.message(b"augment = true\nepochs = 2\nno-augment = true\n", "found the key 'no-augment' twice")
        self.message(b"{", name="run.json")
        self.message(b'{"settings": {"model": 3}}', "model", name="run.json")

    def test_what_the_command_line_says_is_not_the_files(self):
        write(self.path("run.toml"), b"momentum = 0.5\nepochs = 3\n")
        for option, text, expected in [("--epochs", "ten", "--epochs: found 'ten', expected a number"),
                                       ("--optimizer", "adam", "run.toml: --momentum: no setting of adam with cross-entropy")]:
            self.assertEqual(self.refusal("train", "--config", "run.toml", "--dataset", "synthetic", option, text), expected)

    def test_no_regular_file(self):
        os.mkfifo(self.path("pipe"))
        os.mkdir(self.path("folder"))
        for name in "pipe", "folder":
            self.assertEqual(self.refusal("train", "--config", name),
                             f"{name}: found no regular file, expected a TOML file or a run.json")
        self.assertIn("gone", self.refusal("train", "--config", "gone"))

    def test_the_recipes_are_good(self):
        """Each comes as far as the images, which are not there; with a network that this tool surely has."""
        recipes = pathlib.Path(__file__).parents[2].joinpath("examples", "recipes").glob("*.toml")
        for recipe in sorted(recipes):
            with self.subTest(recipe.name):
                text, count = re.subn(r'(?m)^model = ".*"', 'model = "small"', recipe.read_text())
                self.assertEqual(count, 1)
                write(self.path("recipe.toml"), text.encode())
                message = self.refusal("train", "--config", "recipe.toml", "--data-dir", "nowhere")
                self.assertTrue(message.startswith("nowhere: found no directory"), message)


class Weights(ToolTest):
    """Everything that a reader of safetensors must refuse, and files of other networks."""

    def header(self, text, data=b""):
        text = text if isinstance(text, bytes) else json.dumps(text).encode()
        return struct.pack("<Q", len(text)) + text + data

    def message(self, data, *expected):
        write(self.path("w.safetensors"), data)
        message = self.refusal("eval", "--dataset", "synthetic", "--model", "small", "--weights", "w.safetensors")
        self.assertTrue(message.startswith("w.safetensors: "), message)
        for piece in expected:
            self.assertIn(piece, message)

    def test_what_is_not_safetensors(self):
        one = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
        self.message(b"", "found 0 bytes")
        self.message(b"1234567", "found 7 bytes", "at least 8")
        self.message(struct.pack("<Q", 100_000_001) + b"{}", "a header of 100000001 bytes")
        self.message(struct.pack("<Q", 3) + b"{}", "a header of 3 bytes", "at most 2")
        self.message(self.header(b" {}"), "'{'")
        self.message(self.header(b'{"a'), "offset")
        self.message(self.header(b'{"\xff":1}'), "UTF-8")
        self.message(self.header(b'{"a":1}'), '"a"', "an object")
        self.message(self.header(b'{"__metadata__":{"a":1}}'), "__metadata__", "a string")
        self.message(self.header({"a": one}, b"123"), "found 3 bytes of data", "at least 4")
        self.message(self.header({"a": one}, b"12345"), "found 5 bytes of data", "expected 4")
        self.message(self.header({"a": {**one, "data_offsets": [4, 8]}}, b"12345678"), '"a"', "data at 4, expected 0")
        self.message(self.header({"a": one, "b": {**one, "data_offsets": [2, 6]}}, b"123456"), '"b"', "data at 2, expected 4")
        self.message(self.header({"a": {**one, "shape": [2]}}, b"1234"), '"a"', "expected 8 bytes")
        self.message(self.header({"a": {**one, "shape": [2**40, 2**40]}}, b"1234"), '"a"', "product")
        self.message(self.header({"a": {**one, "shape": [-1]}}, b"1234"), '"a"', "at least 0")
        self.message(self.header({"a": {**one, "dtype": "F31"}}, b"1234"), '"a"', "F31")
        self.message(self.header(b'{"a":%b,"a":%b}' % ((json.dumps(one).encode(),) * 2), b"1234"), '"a"')

    def test_no_file(self):
        self.assertIn("gone.safetensors: cannot open: No such file",
                      self.refusal("eval", "--weights", "gone.safetensors"))
        self.assertIn("found a directory", self.refusal("eval", "--weights", "."))

    def test_another_network(self):
        for model in "small", "alexnet32":
            self.run_tool(*SHORT, "--out", model, "--model", model, "--epochs", "1", "--limit-train", "64")
        self.assertIn('small/last.safetensors: tensor "0.weight": found F32 [32, 3, 5, 5], expected F32 [96, 3, 11, 11]',
                      self.refusal("eval", "--model", "alexnet32", "--dataset", "synthetic", "--weights", "small/last.safetensors"))
        tensors, metadata = safetensors.read(self.path("small", "last.safetensors"))
        for name, change, expected in [
            ("23.bias", None, '"23.bias": found none of this name'),
            ("23.bias", safetensors.Tensor.of("F64", [10], [0.0] * 10), '"23.bias": found F64 [10], expected F32 [10]'),
            ("24.bias", safetensors.Tensor.of("F32", [1], [0.0]), '"24.bias"'),
            ("1.running_var", None, '"1.running_var": found none of this name'),
        ]:
            changed = {key: tensor for key, tensor in {**tensors, name: change}.items() if tensor is not None}
            safetensors.write(self.path("changed.safetensors"), changed, metadata)
            self.assertIn(expected, self.refusal("eval", "--dataset", "synthetic", "--weights", "changed.safetensors"))
        safetensors.write(self.path("changed.safetensors"), tensors, {**metadata, "model": "ResNet"})
        self.assertIn("unknown model 'ResNet'", self.refusal("eval", "--dataset", "synthetic", "--weights", "changed.safetensors"))
        classes = json.loads(metadata["classes"])
        for names, found, expected in [
            (["zebra", *classes[1:]], 'class 0: found "zebra"', f'"{classes[0]}"'),
            (classes[:9], "class 9: found none", f'"{classes[9]}"'),
        ]:
            safetensors.write(self.path("changed.safetensors"), tensors, {**metadata, "classes": json.dumps(names)})
            line = self.refusal("eval", "--dataset", "synthetic", "--weights", "changed.safetensors")
            self.assertIn(f"changed.safetensors: {found}, expected {expected}", line)


class Saving(ToolTest):
    def test_a_full_disk_keeps_the_old_checkpoint(self):
        self.run_tool(*SHORT, "--out", "unbroken")
        self.run_tool(*SHORT, "--out", "run", "--stop-after", "1")
        before = self.files("run")

        def limit():  # the weights have 1.6 MB, the trainer's state 3.1
            resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))

        message = self.refusal("train", "--resume", "run", preexec_fn=limit)
        self.assertIn("run/trainer.safetensors: cannot write: File too large", message)
        after = self.files("run")
        self.assertEqual(after.keys(), before.keys())  # no temporary file is left
        self.assertEqual(after["trainer.safetensors"], before["trainer.safetensors"])
        self.run_tool("train", "--resume", "run")
        for name in "last.safetensors", "best.safetensors", "trainer.safetensors", "metrics.csv":
            self.assertEqual(self.files("run")[name], self.files("unbroken")[name], name)

        # A run that cannot begin leaves nothing.
        self.assertIn("new/trainer.safetensors: cannot write", self.refusal(*SHORT, "--out", "new", preexec_fn=limit))
        self.assertFalse(os.path.exists(self.path("new")))

    def test_a_folder_that_cannot_be_made_or_written(self):
        write(self.path("file"), b"")
        self.assertIn("file/run: cannot create the folder", self.refusal(*SHORT, "--out", "file/run"))
        self.assertIn("file", self.refusal(*SHORT, "--out", "file"))
        if os.geteuid() != 0:  # root may write anywhere
            os.mkdir(self.path("locked"), 0o500)
            self.assertIn("locked/run.json: cannot create: Permission denied",
                          self.refusal(*SHORT, "--out", "locked"))

    def test_someone_elses_files_stay(self):
        os.mkdir(self.path("mine"))
        write(self.path("mine", "best.safetensors"), b"precious")
        self.assertIn("mine/best.safetensors", self.refusal(*SHORT, "--out", "mine"))
        self.assertEqual(content(self.path("mine", "best.safetensors")), b"precious")


class Numbers(ToolTest):
    def test_not_a_number_stops_with_step_and_layer(self):
        # The first epoch is good, the second's rate is beyond everything.
        arguments = [*SHORT, "--out", "run", "--schedule", "step", "--step-size", "1", "--gamma", "1e30", "--lr", "0.01"]
        message = self.refusal(*arguments)
        self.assertRegex(message, r"^step \d+: the loss is not finite; the first output that is not: layer \d+, \w+")
        self.assertEqual(len(self.rows("run")), 1)
        for name in "last", "best", "trainer":
            for tensor, values in safetensors.read(self.path("run", f"{name}.safetensors"))[0].items():
                self.assertTrue(all(map(math.isfinite, values.values())), f"{name}: {tensor}")
        self.run_tool("eval", *TEST, "--weights", "run/last.safetensors")
        self.assertRegex(self.refusal(*arguments[:-1], "0.01", "--out", "skipping", "--skip-nonfinite", "3"),
                         r"; skipped before it: 3 in a row$")

    def test_weights_that_are_not_numbers_are_named(self):
        self.run_tool(*SHORT, "--out", "run", "--epochs", "1", "--limit-train", "64")
        tensors, metadata = safetensors.read(self.path("run", "last.safetensors"))
        for tensor, layer in ("0.weight", "0, Conv2d"), ("1.running_mean", "1, BatchNorm2d"):
            dtype, shape, data = tensors[tensor]
            spoilt = safetensors.Tensor(dtype, shape, struct.pack("<f", math.nan) + data[4:])
            safetensors.write(self.path("spoilt.safetensors"), {**tensors, tensor: spoilt}, metadata)
            message = self.refusal("eval", "--dataset", "synthetic", "--weights", "spoilt.safetensors")
            self.assertEqual(message, "spoilt.safetensors: found outputs that are not finite, expected numbers; the first "
                                      f"tensor that is not: {tensor} (layer {layer})")


if __name__ == "__main__":
    unittest.main()
