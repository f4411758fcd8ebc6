"""What alexnet train writes for TensorBoard, read by a decoder of the tests' own and by protoc."""

import bisect
import collections
import json
import math
import os
import random
import re
import resource
import shutil
import struct
import subprocess
import sys
import unittest

from tensorboard import Value, crc32c, decode_png, fields, masked, only, records
from tool import SHORT, ToolTest, content, safetensors, write

NAME = re.compile(r"events\.out\.tfevents\.\d{10}\.(.+)\.\d+\.\d+")


def single(number):
    """A double as the float that is nearest to it."""
    return struct.unpack("<f", struct.pack("<f", number))[0]


def bucket_limits():
    positive, limit = [], 1e-12
    while limit < 1e20:
        positive.append(limit)
        limit *= 1.1
    return [-x for x in reversed(positive)] + [0.0] + positive + [sys.float_info.max]


class TensorBoard(ToolTest):
    def event_files(self, run):
        return sorted(self.path(run, name) for name in os.listdir(self.path(run)) if NAME.fullmatch(name))

    def values(self, run):
        """All values of a run's only event file, as Value, whose beginning is checked."""
        path, = self.event_files(run)
        return self.values_of(path, 1)

    def values_of(self, path, first_step):
        events = [only(record) for record in records(content(path))]
        self.assertEqual(events[0], {1: events[0][1], 3: b"brain.Event:2"})
        self.assertEqual({2: events[1][2], 7: only(events[1][7])}, {2: first_step, 7: {1: 1}})  # SessionLog: START
        times = [event[1] for event in events]
        self.assertEqual(times, sorted(times))
        self.assertLess(abs(times[0] - os.path.getmtime(path)), 600)
        steps = [event[2] for event in events[1:]]
        self.assertEqual(steps, sorted(steps))
        found = []
        for event in events[2:]:
            self.assertEqual(event.keys(), {1, 2, 5})
            for number, value in fields(event[5]):
                self.assertEqual(number, 1)
                found.append(Value(event[2], value))
        return found

    def scalars(self, values):
        """{tag: {step: number}}"""
        found = collections.defaultdict(dict)
        for value in values:
            if value.kind == "scalar":
                self.assertNotIn(value.step, found[value.tag])
                found[value.tag][value.step] = value.number
        return found

    def pixels(self, image):
        height, width, channels, rows = decode_png(image.png)
        self.assertEqual((height, width, channels), (image.height, image.width, image.channels))
        return rows

    def test_checksums(self):
        # RFC 3720, B.4
        self.assertEqual(crc32c(bytes(32)), 0x8A9136AA)
        self.assertEqual(crc32c(bytes(range(32))), 0x46DD794E)
        self.assertEqual(masked(0), 0xA282EAD8)

    def test_a_run(self):
        self.run_tool(*SHORT, "--epochs", "2", "--clip-norm", "1", "--histogram-every", "5", "--out", "run")
        values = self.values("run")
        self.check_settings(values)
        self.check_scalars(values)
        self.check_parameters([v for v in values if v.kind == "histogram"], self.scalars(values)["train/gradient_norm"])
        self.check_pictures(values)
        self.check_by_protoc()

    def check_settings(self, values):
        start, end = [value for value in values if value.kind == "plugin"]
        self.assertEqual((start.tag, end.tag), ("_hparams_/session_start_info", "_hparams_/session_end_info"))
        self.assertEqual({start.plugin, end.plugin}, {"hparams"})
        self.assertEqual((start.content.keys(), end.content.keys()), ({3}, {4}))
        self.assertEqual(only(end.content[4])[1], 1)
        settings = {}
        for number, entry in fields(start.content[3]):
            if number == 1:
                entry = only(entry)
                (kind, value), = only(entry[2]).items()
                settings[entry[1].decode()] = {2: float, 3: bytes.decode, 4: bool}[kind](value)
        self.assertEqual(settings, json.loads(content(self.path("run", "run.json")))["settings"])

    def check_scalars(self, values):
        found, rows = self.scalars(values), self.rows("run")
        self.assertEqual(len(rows), 2)
        for row in rows:
            last = 5 * int(row["epoch"])
            for tag, column in [("epoch/train_loss", "train_loss"), ("epoch/train_accuracy", "train_accuracy"),
                                ("epoch/test_loss", "eval_loss"), ("epoch/test_accuracy", "eval_accuracy"), ("lr", "lr")]:
                self.assertEqual(found[tag][last], single(row[column]), tag)
            self.assertAlmostEqual(found["epoch/images_per_second"][last], row["images_per_second"], delta=0.051)
            for tag, column in ("train/loss", "train_loss"), ("train/accuracy", "train_accuracy"):
                mean = sum(n * found[tag][last - 4 + i] for i, n in enumerate([64, 64, 64, 64, 44])) / 300
                self.assertAlmostEqual(mean, row[column], delta=1e-6)  # each of them is rounded to a float
        for tag in "train/loss", "train/accuracy", "train/gradient_norm", "lr":
            self.assertEqual(sorted(found[tag]), list(range(1, 11)))
        self.assertEqual(sorted(found["epoch/test_loss"]), [5, 10])

    def check_parameters(self, histograms, norms):
        tensors, _ = safetensors.read(self.path("run", "last.safetensors"))
        tensors = {name: t for name, t in tensors.items() if not re.search(r"running_|num_batches", name)}
        expected = sorted((step, f"{kind}/{name}") for step in (5, 10) for kind in ("parameters", "gradients") for name in tensors)
        self.assertEqual(sorted((h.step, h.tag) for h in histograms), expected)
        limits = bucket_limits()
        squares = 0
        for h in histograms:
            kind, name = h.tag.split("/")
            self.assertEqual(sum(h.counts), h.num)
            self.assertEqual(h.num, math.prod(tensors[name].shape))
            self.assertEqual(list(h.limits), sorted(set(h.limits)))
            self.assertTrue(set(h.limits) < set(limits))
            # What is drawn goes from the first bucket with values to the last one.
            first, last = h.counts.index(next(filter(None, h.counts))), len(h.limits) - 1
            self.assertTrue(first == 1 and h.limits[0] <= h.min < h.limits[1], h.tag)
            self.assertTrue(h.counts[last] > 0 and h.limits[last - 1] <= h.max < h.limits[last], h.tag)
            if h.step == 10 and kind == "gradients":
                squares += h.sum_squares
            elif h.step == 10:  # behind the last step
                values = tensors[name].values()
                self.assertEqual((h.min, h.max), (min(values), max(values)))
                scale = sum(map(abs, values))
                self.assertGreater(scale, 0, name)
                self.assertAlmostEqual(h.sum, math.fsum(values), delta=1e-12 * scale)  # sums of doubles
                self.assertAlmostEqual(h.sum_squares / math.fsum(v * v for v in values), 1, delta=1e-12)
                counts = collections.Counter(limits[bisect.bisect_right(limits, v)] for v in values)
                self.assertEqual({limit: n for limit, n in zip(h.limits, h.counts) if n > 0}, counts, name)
        self.assertGreater(squares, 0)
        self.assertAlmostEqual(norms[10] / math.sqrt(squares), 1, delta=1e-6)  # the norm is written as a float

    def check_pictures(self, values):
        images = {(v.tag, v.step): v for v in values if v.kind == "image"}
        for step in 5, 10:
            self.assertEqual(sum(s == step for _, s in images), 2 + 8)
            # 32 filters of 5x5 in rows of 8, five times as large, and gaps of two pixels.
            filters = images["filters", step]
            self.assertEqual((filters.height, filters.width, filters.channels), (4 * 27 + 2, 8 * 27 + 2, 3))
        rows = self.pixels(images["filters", 10])
        self.assertEqual(set(rows[0] + rows[27]), {255})
        tensor = safetensors.read(self.path("run", "last.safetensors"))[0]["0.weight"].values()
        for filter in 0, 13, 31:
            weights = tensor[75 * filter:75 * (filter + 1)]
            largest = max(map(abs, weights))
            for c, y, x in (0, 0, 0), (1, 4, 2), (2, 3, 4):
                place = 2 + 27 * (filter % 8) + 5 * x + 4
                shown = rows[2 + 27 * (filter // 8) + 5 * y + 4][3 * place + c]
                self.assertAlmostEqual(shown, 127.5 + 127.5 * weights[25 * c + 5 * y + x] / largest, delta=0.51)
        self.assertEqual(len(self.pixels(images["confusion", 10])), 320)

    def check_by_protoc(self):
        if shutil.which("protoc") is None:
            self.skipTest("protoc was not found (Debian: protobuf-compiler): the records were read by this test alone")
        path, = self.event_files("run")
        for record in records(content(path)):
            done = subprocess.run(["protoc", "--decode_raw"], input=record, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.assertEqual(done.returncode, 0, done.stderr)
            event, text = only(record), done.stdout.decode()
            self.assertEqual(re.findall(r"^2: (\d+)$", text, re.M), [str(event[2])] if 2 in event else [])
            self.assertEqual(re.findall(r'^3: "(.*)"$', text, re.M), [event[3].decode()] if 3 in event else [])
            tags = [Value(0, value).tag for _, value in fields(event.get(5, b""))]
            shown = re.findall(r'^    1: "(.*)"$', text, re.M)
            self.assertEqual(shown, [tag for tag in tags if tag in shown])  # it takes some short texts for messages
            self.assertEqual("train/loss" in shown, "train/loss" in tags)

    def test_predictions_and_confusion(self):
        draw = random.Random(1)
        pictures, guesses = {}, collections.Counter()
        for part, count in ("train", 8), ("test", 3):
            for name in "cat", "dog":
                os.makedirs(self.path("images", part, name))
                for i in range(count):
                    pixels = draw.randbytes(3 * 32 * 32)
                    write(self.path("images", part, name, f"{i}.ppm"), b"P6 32 32 255\n" + pixels)
                    if part == "test":
                        pictures[2 * i + (name == "dog")] = name, pixels  # by turns
        self.run_tool("train", "--dataset", "folder", "--data-dir", "images", "--epochs", "1", "--batch-size", "8",
                      "--schedule", "constant", "--out", "run")
        found = {}
        for value in self.values("run"):
            if value.tag.startswith("predictions/"):
                number, true, guess = re.fullmatch(r"predictions/image (\d): (cat|dog), taken for (.+)", value.tag).groups()
                found[int(number)] = true, b"".join(self.pixels(value))
                guesses[true, guess] += 1
            elif value.tag == "confusion":
                confusion = self.pixels(value)
        self.assertEqual(found, pictures)
        self.assertEqual((guesses["cat", "cat"] + guesses["dog", "dog"]) / 6, self.rows("run")[0]["eval_accuracy"])
        for y, true in enumerate(["cat", "dog"]):
            for x, guess in enumerate(["cat", "dog"]):
                shown = confusion[32 * y + 16][3 * (32 * x + 16):][:3]
                for byte, full in zip(shown, [8, 48, 107]):
                    self.assertAlmostEqual(byte, 255 - math.sqrt(guesses[true, guess] / 3) * (255 - full), delta=0.51)

    def test_a_resumed_run_goes_on_in_a_new_file(self):
        arguments = [*SHORT, "--epochs", "2", "--val-size", "250", "--histogram-every", "0"]
        self.run_tool(*arguments, "--out", "unbroken")
        self.run_tool(*arguments, "--out", "run", "--stop-after", "1")
        before, = self.event_files("run")
        bytes_before = content(before)
        for _ in range(2):  # the second time there is nothing left to do, and nothing to write
            self.run_tool("train", "--resume", "run", "--histogram-every", "0")
            files = self.event_files("run")
            self.assertEqual((len(files), content(before)), (2, bytes_before))
        after, = set(files) - {before}
        parts = [self.values_of(before, 1), self.values_of(after, 6)]
        self.assertEqual([(p[0].step, p[-1].step) for p in parts], [(1, 5), (6, 10)])
        joined, unbroken = self.scalars(parts[0] + parts[1]), self.scalars(self.values("unbroken"))
        for found in joined, unbroken:
            self.assertEqual(sorted(found.pop("epoch/images_per_second")), [5, 10])
        self.assertEqual(joined, unbroken)
        self.assertEqual(sorted(unbroken["epoch/validation_loss"]), [5, 10])
        self.assertEqual([v for v in parts[1] if v.kind == "histogram"], [])

    def test_a_full_disk_stops_the_events_alone(self):
        arguments = [*SHORT, "--stop-after", "1", "--batch-size", "8", "--limit-train", "500", "--val-size", "250"]
        self.run_tool(*arguments, "--out", "without", "--no-tensorboard")
        self.assertEqual(self.event_files("without"), [])
        # The largest of the other files has 3.1 MB; the events would have 4.2.
        process = self.start(*arguments, "--out", "run", "--histogram-every", "1",
                             preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3_500_000, 3_500_000)))
        _, errors = process.communicate(timeout=300)
        self.assertEqual(process.returncode, 0, errors)
        self.assertRegex(errors, r"\Aalexnet: run/events\.out\.\S+: cannot write: File too large; the run goes on [^\n]+\n\Z")
        self.assertEqual(self.files("run"), self.files("without"))


if __name__ == "__main__":
    unittest.main()
