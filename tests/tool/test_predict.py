"""alexnet predict: pictures in, classes and probabilities out."""

import csv
import io
import json
import math
import os
import pathlib
import random
import re
import signal
import subprocess
import tempfile
import unittest

import test_train
from test_convert import JPEG, png
from tool import BINARY, ToolTest, content, safetensors, write

# Folders' names are the classes' names, and must be quoted in CSV and JSON.
CLASSES = ["blue", "green, pale", 'red "hot"']
COLOURS = [(40, 60, 200), (170, 220, 170), (220, 50, 40)]


def picture(width, height, colour, seed):
    """A noisy picture of about one colour, as the bytes of its pixels."""
    chance = random.Random(seed)
    return bytes(min(255, max(0, value + chance.randint(-60, 60))) for _ in range(width * height) for value in colour)


def ppm(width, height, pixels):
    return b"P6 %d %d 255\n" % (width, height) + pixels


def columns(width, height, pixels, order):
    """The picture with these of its columns, in this order."""
    return b"".join(pixels[3 * (y * width + x):3 * (y * width + x) + 3] for y in range(height) for x in order)


def setUpModule():
    """Pictures of every format and many sizes in images/train and images/test, and weights trained on them."""
    scratch = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(scratch.cleanup)
    images = os.path.join(scratch.name, "images")
    seed = 0
    for part, each in ("train", 8), ("test", 7):
        for name, colour in zip(CLASSES, COLOURS):
            folder = os.path.join(images, part, name)
            os.makedirs(os.path.join(folder, "more"))
            for i in range(each):
                seed += 1
                width, height = [(32, 32), (50, 40), (31, 70), (9, 6)][i % 4]
                pixels = picture(width, height, colour, seed)
                if i % 2 == 0:
                    write(os.path.join(folder, f"{i}.PNG"), png(width, height, 8, 2, pixels))
                else:
                    write(os.path.join(folder, "more", f"{i}.ppm"), ppm(width, height, pixels))
    write(os.path.join(images, "test", CLASSES[0], "photo.jpeg"), JPEG)
    trainer = ToolTest()
    trainer.folder = scratch.name
    trainer.run_tool("train", "--dataset", "folder", "--data-dir", "images", "--batch-size", "8", "--epochs", "3",
                     "--out", "run")
    PredictTest.images = images
    PredictTest.weights = os.path.join(scratch.name, "run", "last.safetensors")


class PredictTest(ToolTest):
    def predict(self, *arguments, weights=None, status=0):
        """Standard output, and the lines of standard error."""
        process = self.start("predict", "--weights", weights or self.weights, *arguments)
        output, errors = process.communicate(timeout=300)
        self.assertEqual(process.returncode, status, f"{arguments}: {output}{errors}")
        return output, errors.splitlines()

    def csv(self, *arguments, **options):
        output, errors = self.predict(*arguments, "--csv", "-", **options)
        self.assertEqual(errors, [])
        return list(csv.DictReader(io.StringIO(output)))

    def probabilities(self, *arguments, **options):
        """Of every file, in their order: a dict of class to probability, the likeliest first."""
        found = {}
        for row in self.csv(*arguments, "--show-all-probs", **options):
            guesses = found.setdefault(row["file"], {})
            guesses[row["class"]] = float(row["probability"])
            self.assertEqual(int(row["rank"]), len(guesses))
        return found

    def known_weights(self, biases, metadata=None):
        """Weights whose logits are `biases` for every image."""
        tensors, _ = safetensors.read(self.weights)
        tensors["23.weight"] = safetensors.Tensor.of("F32", [10, 96], [0.0] * 960)
        tensors["23.bias"] = safetensors.Tensor.of("F32", [10], biases)
        safetensors.write(self.path("known.safetensors"), tensors, metadata)
        return self.path("known.safetensors")

    def image(self, name="one.ppm", width=32, height=32, pixels=None):
        write(self.path(name), ppm(width, height, pixels or picture(width, height, COLOURS[0], 5)))
        return name


class Predictions(PredictTest):
    def test_probabilities_are_those_that_eval_takes(self):
        for flip in [], ["--flip"]:
            found = self.probabilities("--image-dir", os.path.join(self.images, "test"), *flip)
            self.assertEqual(len(found), 22)
            paths = [pathlib.Path(file) for file in found]
            self.assertEqual(paths, sorted(paths))
            loss = correct = 0
            for file, guesses in found.items():
                self.assertEqual(set(guesses), {*CLASSES, *map(str, range(3, 10))})  # three of ten outputs have names
                self.assertAlmostEqual(sum(guesses.values()), 1, delta=1e-12)  # sums of doubles
                self.assertEqual(list(guesses.values()), sorted(guesses.values(), reverse=True))
                truth = pathlib.Path(file).relative_to(self.images).parts[1]
                loss -= math.log(guesses[truth]) / len(found)
                correct += truth == next(iter(guesses))
            evaluated = self.run_tool("eval", "--weights", self.weights, "--dataset", "folder", "--data-dir", self.images,
                                      *["--test-flip" for _ in flip])
            self.assertIn(f"\naccuracy {100 * correct / len(found):.2f} %\n", evaluated)
            # Printed with four digits behind the point.
            self.assertAlmostEqual(float(re.search(r"^loss (\S+)$", evaluated, re.M)[1]), loss, delta=1e-4)

    def test_known_logits(self):
        logits = [0.5, 2.0, -1.0, 2.0, 1.0, 0.0, 0.0, -3.5, 2.0, -80.0]
        total = sum(map(math.exp, logits))
        weights = self.known_weights(logits, {"model": "SmallAlexNet", "classes": json.dumps(list("abcdefghij"))})
        rows = self.csv("--image", self.image(), "--show-all-probs", weights=weights)
        # Where they are equal, the lower class comes first.
        self.assertEqual([int(row["index"]) for row in rows], [1, 3, 8, 4, 0, 5, 6, 2, 7, 9])
        for row in rows:
            index = int(row["index"])
            self.assertEqual((row["file"], row["class"]), ("one.ppm", "abcdefghij"[index]))
            expected = math.exp(logits[index]) / total
            self.assertAlmostEqual(float(row["probability"]), expected, delta=1e-12 * expected)
        self.assertEqual(self.csv("--image", self.image(), "--top-k", "4", weights=weights), rows[:4])
        weights = self.known_weights([9.0] + [0.0] * 9, {"model": "SmallAlexNet", "classes": json.dumps(["\n\x1b[31m"] * 10)})
        output, _ = self.predict("--image", self.image(), weights=weights)
        self.assertIn(" \\u000a\\u001b[31m ", output)
        weights = self.known_weights([0.0] * 9 + [math.nan], {"model": "SmallAlexNet"})
        self.assertIn("known.safetensors: found outputs that are not finite",
                      self.refusal("predict", "--weights", weights, "--image", "one.ppm"))

    def test_neither_batches_nor_threads_change_a_byte(self):
        arguments = ["--image-dir", self.images, "--show-all-probs", "--csv", "-"]
        expected = self.predict(*arguments)
        for options in ["--batch-size", "1"], ["--batch-size", "7", "--workers", "3", "--threads", "1"], ["--workers", "1"]:
            self.assertEqual(self.predict(*arguments, *options), expected)

    def test_sizes_and_greys(self):
        """A picture of one colour is the same in every size, and a grey one in every format."""
        names = []
        for width, height in (32, 32), (1, 1), (200, 3), (33, 57):
            names.append(self.image(f"{width}.ppm", width, height, bytes((90, 90, 90)) * width * height))
            write(self.path(f"{width}.pgm"), b"P5 %d %d 255\n" % (width, height) + bytes([90]) * width * height)
            write(self.path(f"{width}.png"), png(width, height, 8, 0, bytes([90]) * width * height))
            names += [f"{width}.pgm", f"{width}.png"]
        found = self.probabilities("--image", *names)
        self.assertEqual(list(found), names)
        self.assertEqual(len({tuple(guesses.items()) for guesses in found.values()}), 1)

    def test_the_middle_and_mirror_images(self):
        wide = picture(48, 32, COLOURS[1], 3)
        self.image("wide.ppm", 48, 32, wide)
        self.image("middle.ppm", 32, 32, columns(48, 32, wide, range(8, 40)))
        self.image("mirror.ppm", 32, 32, columns(48, 32, wide, range(39, 7, -1)))
        plain = self.probabilities("--image", "wide.ppm", "middle.ppm", "mirror.ppm")
        self.assertNotEqual(plain["wide.ppm"], plain["middle.ppm"])
        self.assertNotEqual(plain["mirror.ppm"], plain["middle.ppm"])
        cut = self.probabilities("--image", "wide.ppm", "--shorter-side", "32")
        self.assertEqual(cut["wide.ppm"], plain["middle.ppm"])
        both = self.probabilities("--image", "middle.ppm", "--image", "mirror.ppm", "--flip")
        self.assertEqual(both["middle.ppm"], both["mirror.ppm"])
        self.assertNotEqual(both["middle.ppm"], plain["middle.ppm"])


class Output(PredictTest):
    def test_a_table(self):
        red = [self.image(name, pixels=picture(32, 32, COLOURS[2], 7)) for name in ("red.ppm", "the other.ppm")]
        rows = self.csv("--image", *red, "--top-k", "2")
        self.assertEqual([row["rank"] for row in rows], ["1", "2"] * 2)
        output, errors = self.predict("--image", *red, "--top-k", "2")
        self.assertEqual(errors, [])
        lines = output.splitlines()
        self.assertRegex(lines[0], r"^file +class +probability$")
        for line, row in zip(lines[1:], rows, strict=True):
            file = re.escape(row["file"]) if row["rank"] == "1" else ""
            percent = f"{100 * float(row['probability']):.2f}"
            self.assertRegex(line, rf"^{file} +{re.escape(row['class'])} +{percent} %$")
        self.assertEqual([line.rindex(row["class"]) for line, row in zip(lines[1:], rows)], [lines[0].index("class")] * 4)
        # One class if nobody says how many.
        self.assertEqual([line.split() for line in self.predict("--image", red[0])[0].splitlines()[1:]], [lines[1].split()])
        self.assertEqual(self.predict("--image", red[0], "--quiet"), ("", []))

    def test_json_and_csv(self):
        arguments = ["--image-dir", os.path.join(self.images, "test"), "--top-k", "3"]
        text, errors = self.predict(*arguments, "--json", "-")
        self.assertEqual(errors, [])
        found = json.loads(text)
        self.assertEqual((found["model"], found["weights"]), ("SmallAlexNet", self.weights))
        rows = [{"file": image["file"], "rank": str(rank), "class": guess["class"], "index": str(guess["index"]),
                 "probability": guess["probability"]}
                for image in found["images"] for rank, guess in enumerate(image["predictions"], 1)]
        self.assertEqual(rows, [{**row, "probability": float(row["probability"])} for row in self.csv(*arguments)])
        # Files hold the same, beside the table.
        table, _ = self.predict(*arguments, "--json", "out.json", "--csv", "out.csv")
        self.assertEqual(table, self.predict(*arguments)[0])
        self.assertEqual(content(self.path("out.json")).decode(), text)
        self.assertEqual(content(self.path("out.csv")).decode(), self.predict(*arguments, "--csv", "-")[0])
        self.assertEqual(sorted(os.listdir(self.folder)), ["out.csv", "out.json"])
        self.assertEqual(self.predict(*arguments, "--csv", "-", "--json", "again.json"),
                         (content(self.path("out.csv")).decode(), []))
        self.assertEqual(content(self.path("again.json")).decode(), text)

    def test_names_that_no_format_likes(self):
        write(os.path.join(os.fsencode(self.folder), b'a "b",\xff\n.ppm'), ppm(1, 1, b"abc"))
        process = self.start("predict", "--weights", self.weights, "--image-dir", ".", "--json", "-", "--csv", "out.csv")
        output, _ = process.communicate(timeout=300)
        self.assertEqual(process.returncode, 0)
        self.assertEqual([image["file"] for image in json.loads(output)["images"]],
                         ['./a "b",\N{REPLACEMENT CHARACTER}\n.ppm'])
        with open(self.path("out.csv"), encoding="utf-8", errors="surrogateescape", newline="") as file:
            self.assertEqual([row[0] for row in csv.reader(file)], ["file", './a "b",\udcff\n.ppm'])

    def test_files_are_written_whole_or_not_at_all(self):
        self.image()
        write(self.path("old.json"), b"precious")
        for path, expected in [("gone/out.json", "gone/out.json: cannot create"), (".", ".: found a directory")]:
            self.assertIn(expected, self.refusal("predict", "--weights", self.weights, "--image", "one.ppm", "--json", path))
        weights = self.known_weights([math.inf] * 10, {"model": "SmallAlexNet"})
        self.refusal("predict", "--weights", weights, "--image", "one.ppm", "--json", "old.json", "--csv", "new.csv")
        self.assertEqual(sorted(os.listdir(self.folder)), ["known.safetensors", "old.json", "one.ppm"])
        self.assertEqual(content(self.path("old.json")), b"precious")
        # A link stays one.
        os.symlink("old.json", self.path("link.json"))
        self.predict("--image", "one.ppm", "--json", "link.json")
        self.assertTrue(os.path.islink(self.path("link.json")))
        self.assertEqual(len(json.loads(content(self.path("old.json")))["images"]), 1)
        if os.path.exists("/dev/full"):
            self.assertIn("/dev/full: found a special file",
                          self.refusal("predict", "--weights", self.weights, "--image", "one.ppm", "--csv", "/dev/full"))
            with open("/dev/full", "w") as full:
                process = subprocess.run([BINARY, "predict", "--weights", self.weights, "--image", self.path("one.ppm"),
                                          "--csv", "-"], stdout=full, stderr=subprocess.PIPE, text=True)
            self.assertEqual((process.returncode, process.stderr),
                             (1, "alexnet: standard output: cannot write: No space left on device\n"))

    def test_interrupted(self):
        self.image()
        process = self.start("predict", "--weights", self.weights, "--image", *["one.ppm"] * 30_000, "--csv", "-",
                             "--json", "out.json", "--batch-size", "1")
        self.assertEqual(process.stdout.readline(), "file,rank,class,index,probability\n")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        self.assertEqual((process.returncode, errors), (128 + signal.SIGINT, ""))
        self.assertEqual(os.listdir(self.folder), ["one.ppm"])


class Unreadable(PredictTest):
    def test_each_is_named_and_the_others_are_predicted(self):
        good = picture(32, 32, COLOURS[2], 8)
        for name, data in [("a.ppm", ppm(32, 32, good)), ("b.png", JPEG[:-20]), ("c.jpg", b""),
                           ("d.ppm", ppm(32, 32, good[:-1])), ("e.png", png(32, 32, 8, 2, good)), ("notes.txt", b"no image"),
                           (".hidden.png", b"no image")]:
            write(self.path(name), data)
        os.mkdir(self.path("f.png"))
        os.symlink("f.png", self.path("g.png"))
        os.symlink("nowhere", self.path("h.png"))
        os.symlink("a.ppm", self.path("i.ppm"))
        os.mkdir(self.path(".cache"))
        write(self.path(".cache", "j.ppm"), ppm(32, 32, good))
        for size in "1", "32":
            output, errors = self.predict("--image-dir", ".", "--json", "-", "--batch-size", size, status=1)
            for line, expected in zip(errors, ["./b.png: found a damaged JPEG", "./c.jpg: found no bytes",
                                               "./d.ppm: found 3072 bytes behind the header, expected 3073",
                                               "./h.png: cannot open: No such file"], strict=True):
                self.assertTrue(line.startswith("alexnet: " + expected), line)
            images = json.loads(output)["images"]
            self.assertEqual([image["file"] for image in images],
                             ["./a.ppm", "./b.png", "./c.jpg", "./d.ppm", "./e.png", "./h.png", "./i.ppm"])
            self.assertEqual(["alexnet: " + image["error"] for image in images if "error" in image], errors)
            # Between broken ones or not, it is the same picture.
            self.assertEqual(images[0]["predictions"], images[4]["predictions"])
        alone, _ = self.predict("--image", "a.ppm", "--csv", "-")
        output, errors = self.predict("--image", "gone.ppm", "--image", "a.ppm", "--csv", "-", status=1)
        self.assertEqual((output, errors), (alone, ["alexnet: gone.ppm: cannot open: No such file or directory"]))
        self.assertEqual(self.predict("--image", "c.jpg", status=1)[0], "")


    def test_what_cannot_be_resized(self):
        """Images that are not too large, but for their shape."""
        self.image()
        write(self.path("wide.pgm"), b"P5 262145 1 255\n" + bytes(262_145))
        write(self.path("high.pgm"), b"P5 1 8388609 255\n" + bytes(8_388_609))
        for name, size, options in ("wide.pgm", "262145x1", ["--shorter-side", "32"]), ("high.pgm", "1x8388609", []):
            output, errors = self.predict("--image", name, "one.ppm", "--csv", "-", *options, status=1)
            self.assertEqual(errors, [f"alexnet: {name}: found {size} pixels, expected at most 268435456 in all while it is resized"])
            self.assertEqual(output, self.predict("--image", "one.ppm", "--csv", "-", *options)[0])
        self.assertEqual(len(self.csv("--image", "wide.pgm")), 1)


class Names(PredictTest):
    def test_a_file_names_the_classes(self):
        weights = self.known_weights([float(i) for i in range(10)])
        self.image()
        self.assertIn("--model", self.refusal("predict", "--weights", weights, "--image", "one.ppm"))
        arguments = ["--image", "one.ppm", "--model", "small"]
        self.assertEqual(list(self.probabilities(*arguments, weights=weights)["one.ppm"]), list("9876543210"))
        names = ["tench, Tinca tinca", "crane", "crane", *(f"animal {i}" for i in range(3, 10))]
        write(self.path("names.txt"), "\r\n".join(names).encode() + b"\n\n")
        rows = self.csv(*arguments, "--show-all-probs", "--class-names", "names.txt", weights=weights)
        self.assertEqual([row["class"] for row in rows], names[::-1])

    def test_wrong_ones(self):
        self.image()
        names = self.path("names.txt")
        weights = self.known_weights([0.0] * 10)

        def message(weights):
            return self.refusal("predict", "--weights", weights, "--image", "one.ppm", "--model", "small",
                                "--class-names", "names.txt")

        self.assertIn("names.txt: cannot open", message(weights))
        for count in 0, 9, 11:
            write(names, b"name\n" * count)
            self.assertEqual(message(weights), f"names.txt: found {count} class names, expected 10, one a line")
        # As many as the weights know, where they know any.
        self.assertEqual(message(self.weights), "names.txt: found 11 class names, expected 3, one a line")
        weights = self.known_weights([0.0] * 10, {"classes": json.dumps(["x"] * 11)})
        self.assertIn("known.safetensors: found 11 class names, expected at most the 10 outputs of SmallAlexNet",
                      message(weights))


class Arguments(PredictTest):
    def test_each_is_named_with_what_was_expected(self):
        self.image()
        os.mkdir(self.path("empty"))
        one = ["--image", "one.ppm"]
        for arguments, expected in [
            ([], ["--image", "--image-dir"]),
            ([*one, "--image-dir", "empty"], ["--image", "--image-dir"]),
            (["--image-dir", "gone"], ["gone: cannot read the folder: No such file"]),
            (["--image-dir", "empty"], ["empty: found no image, expected .png, .jpg"]),
            ([*one, "--top-k", "0"], ["--top-k", "0"]),
            ([*one, "--top-k", "11"], ["--top-k is 11", "10 classes of SmallAlexNet"]),
            ([*one, "--top-k", "2", "--show-all-probs"], ["--top-k", "--show-all-probs"]),
            ([*one, "--json", "-", "--csv", "-"], ["--json and --csv", "standard output"]),
            ([*one, "--batch-size", "0"], ["--batch-size", "0"]),
            ([*one, "--workers", "0"], ["--workers", "0"]),
            ([*one, "--json", "x", "--csv", "./x"], ["--csv: found ./x, expected another file than that of --json"]),
            ([*one, "--json", self.weights], ["--json: found", "expected another file than that of --weights"]),
            ([*one, "--csv", "one.ppm"], ["--csv: found one.ppm, expected another file than that of an image"]),
            ([*one, "--json", "./one.ppm"], ["--json: found ./one.ppm, expected another file than that of an image"]),
            ([*one, "--class-names", "names.txt", "--csv", "names.txt"],
             ["--csv: found names.txt, expected another file than that of --class-names"]),
            ([*one, "--shorter-side", "16385"], ["--shorter-side", "16385"]),
            ([*one, "--shorter-side", "31"], ["shorter_side is 31", "at least the 32"]),
            ([*one, "--model", "resnet"], ["unknown model 'resnet'"]),
            ([*one, "--model", "small100"], ['tensor "23.weight": found F32 [10, 96], expected F32 [100, 96]']),
        ]:
            with self.subTest(arguments):
                message = self.refusal("predict", "--weights", self.weights, *arguments)
                for piece in expected:
                    self.assertIn(piece, message)
        self.assertIn("--weights", self.refusal("predict", *one))
        self.assertIn("gone.safetensors: cannot open", self.refusal("predict", "--weights", "gone.safetensors", *one))
        self.assertIn("Examples:\n  alexnet predict ", self.run_tool("predict", "--help"))


class Terminal(PredictTest):
    on_terminal = test_train.Terminal.on_terminal

    def test_a_bar_below_the_table(self):
        self.image()
        arguments = ["predict", "--weights", self.weights, "--image", *["one.ppm"] * 50]
        output = self.on_terminal(*arguments)
        self.assertRegex(output, r"\rpredicting \[#{40}\] 100 %  +\d+ images/s  left 0:00\033\[K\r\033\[K\Z")
        self.assertEqual(len(re.findall(r"one\.ppm  \S.* %\r$", output, re.M)), 50)
        self.assertEqual(self.on_terminal(*arguments, "--quiet"), "")
        self.assertNotIn("\033", self.on_terminal(*arguments, TERM="dumb"))


if __name__ == "__main__":
    unittest.main()
