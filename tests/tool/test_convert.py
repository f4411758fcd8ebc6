"""Data sets and weights in other formats: alexnet convert and export, and the data sets that train and eval read."""

import base64
import fractions
import gzip
import math
import operator
import os
import random
import re
import shutil
import struct
import unittest
import zlib

from tool import ToolTest, content, safetensors, write

# 32×32: the left half (200, 100, 50), the right (20, 60, 220), without chroma subsampling.
JPEG = base64.b64decode("""
/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkIBgcJBwYGCAsICQoKCgoKBggLDAsKDAkKCg
r/2wBDAQICAgICAgUDAwUKBwYHCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgr/wAARCAAgACADASIAAhEBAxEB
/8QAFgABAQEAAAAAAAAAAAAAAAAAAAgF/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/EABYBAQEBAAAAAAAAAAAAAAAAAAkKCP/EABQRAQAAAAAAAAAAAAAAAA
AAAAD/2gAMAwEAAhEDEQA/AM8BldthC4CgQUa6AE/ZXELgKBBRv//Z""")

# The same with (20, 60, 128) on the right, as CMYK and as YCCK: inverted, as Adobe writes them.
CMYK = base64.b64decode("""
/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwACAQEBAQECAQEBAgICAgIEAwICAgIFBAQDBAYFBgYGBQYGBgcJCAYHCQcGBggLCAkKCgoKCgYICwwLCgwJCgoK/8
AAFAgAIAAgBEMRAE0RAFkRAEsRAP/EABcAAQEBAQAAAAAAAAAAAAAAAAAKCQf/xAAUEAEAAAAAAAAAAAAAAAAAAAAA/9oADgRDAE0AWQBLAAA/ANIHD2Y7
fwAS/uoLNGAYAqAcvRlt/ABL+6gs0YBgCoBy9GW38AEv7qCzRgGAKgHL0ZbfwAS/uoLNGAYA/9k=""")
YCCK = base64.b64decode("""
/9j/7gAOQWRvYmUAZAAAAAAC/9sAQwACAQEBAQECAQEBAgICAgIEAwICAgIFBAQDBAYFBgYGBQYGBgcJCAYHCQcGBggLCAkKCgoKCgYICwwLCgwJCgoK/9
sAQwECAgICAgIFAwMFCgcGBwoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoK/8AAFAgAIAAgBAERAAIRAQMRAQQR
AP/EABcAAQEBAQAAAAAAAAAAAAAAAAAJBgT/xAAUEAEAAAAAAAAAAAAAAAAAAAAA/8QAFgEBAQEAAAAAAAAAAAAAAAAAAAkI/8QAFBEBAAAAAAAAAAAAAA
AAAAAAAP/aAA4EAQACEQMRBAAAPwDsaoYnX8AG0QTWkQDAGLXsRbX8AG0QTWkQDAGLXsRbX8AG0QTWkQDAGLXsRbX8AG0QTWkQDAH/2Q==""")


def idx(dims, data, kind=8):
    return struct.pack(f">BBBB{len(dims)}I", 0, 0, kind, len(dims), *dims) + bytes(data)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, bits, colour, pixels, more=b""):
    """Colour 0 is grey, 2 RGB, 3 by a palette, 4 grey and alpha, 6 RGBA; rows unfiltered. `more` are chunks before them."""
    stride = len(pixels) // height
    rows = b"".join(b"\0" + pixels[y * stride:(y + 1) * stride] for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + more + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def planes(pixels, step=3):
    return b"".join(pixels[c::step] for c in range(3))


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


class IdxTest(ToolTest):
    """Small sets of images go into the tool and come out of it as IDX files."""

    def read(self, *names):
        """The dimensions and the bytes of a file."""
        data = content(self.path(*names))
        zero, kind, rank = struct.unpack(">HBB", data[:4])
        self.assertEqual((zero, kind), (0, 8))
        return struct.unpack(f">{rank}I", data[4:4 + 4 * rank]), data[4 + 4 * rank:]

    def write_set(self, folder, labels=(1, 0, 2, 1), test_labels=(2, 2), size=4 * 3072):
        os.makedirs(self.path(folder), exist_ok=True)
        write(self.path(folder, "train_batch_1_images.idx"), idx([4, 3, 32, 32], noise(size)))
        write(self.path(folder, "train_batch_1_labels.idx"), idx([len(labels)], labels))
        write(self.path(folder, "test_batch_images.idx"), idx([2, 3, 32, 32], noise(2 * 3072)))
        write(self.path(folder, "test_batch_labels.idx"), idx([2], test_labels))


class Idx(IdxTest):
    def test_cifar10_becomes_ml_odysseys_files(self):
        self.cifar10()
        for i in range(1, 6):
            with open(self.path("cifar", f"data_batch_{i}.bin"), "r+b") as file:
                file.seek(9_999 * 3073)
                file.write(bytes([i]) + noise(3072, i))
        with open(self.path("cifar", "test_batch.bin"), "r+b") as file:
            file.write(bytes([9]) + noise(3072))
        output = self.run_tool("convert", "--dataset", "cifar10", "--data-dir", "cifar", "--to-idx", "new/idx")
        self.assertIn("50000 training images in 5 files and 10000 test images in new/idx", output)
        for i in range(1, 6):
            images, labels = f"train_batch_{i}_images.idx", f"train_batch_{i}_labels.idx"
            # The magic numbers are 2052 and 2049, and the header of images has 20 bytes.
            self.assertEqual(content(self.path("new/idx", images))[:20], struct.pack(">5I", 2052, 10_000, 3, 32, 32))
            self.assertEqual(content(self.path("new/idx", labels))[:8], struct.pack(">2I", 2049, 10_000))
            self.assertEqual(self.read("new/idx", images)[1][9_999 * 3072:], noise(3072, i))
            self.assertEqual(self.read("new/idx", labels)[1], bytes(9_999) + bytes([i]))
        self.assertEqual(self.read("new/idx", "test_batch_images.idx"), ((10_000, 3, 32, 32), noise(3072) + bytes(9_999 * 3072)))
        self.assertEqual(self.read("new/idx", "test_batch_labels.idx")[1], b"\x09" + bytes(9_999))
        self.assertEqual(content(self.path("new/idx", "class_names.txt")).split()[:2], [b"airplane", b"automobile"])

    def test_plain_and_gzipped_files_are_read_and_trained_on(self):
        self.write_set("plain")
        self.run_tool("convert", "--dataset", "idx", "--data-dir", "plain", "--to-idx", "again")
        os.mkdir(self.path("packed"))
        for name in os.listdir(self.path("plain")):
            data = content(self.path("plain", name))
            self.assertEqual(content(self.path("again", name)), data)
            half = len(data) // 2  # gzip allows several streams in a file
            zeros = bytes(512 if "images" in name else 0)  # which fill blocks of tapes
            write(self.path("packed", name + ".gz"), gzip.compress(data[:half]) + gzip.compress(data[half:]) + zeros)
        for folder in "plain", "packed":
            self.run_tool("train", "--dataset", "idx", "--data-dir", folder, "--epochs", "1", "--batch-size", "2", "--out", f"run-{folder}")
        self.assertEqual(self.files("run-packed")["last.safetensors"], self.files("run-plain")["last.safetensors"])

    def test_whitening_takes_images_at_the_size_that_the_network_reads(self):
        os.makedirs(self.path("images", "train", "a"))
        os.makedirs(self.path("images", "test", "a"))
        pixels = noise(64 * 128)
        for i in range(64):
            for part in ["train"] + ["test"] * (i == 0):
                write(self.path("images", part, "a", f"{i:02}.pgm"), b"P5 8 16 255\n" + pixels[128 * i:128 * (i + 1)])
        self.run_tool("convert", "--dataset", "folder", "--data-dir", "images", "--to-idx", "resized")
        os.mkdir(self.path("stored"))
        for name, n in ("train_batch_1", 64), ("test_batch", 1):
            write(self.path("stored", name + "_images.idx"), idx([n, 1, 16, 8], pixels[:128 * n]))
            write(self.path("stored", name + "_labels.idx"), idx([n], bytes(n)))
        filters = []
        for folder in "resized", "stored":
            self.run_tool("train", "--dataset", "idx", "--data-dir", folder, "--whiten", "--epochs", "1", "--batch-size", "32",
                          "--no-report", "--out", "run-" + folder)
            values = safetensors.read(self.path("run-" + folder, "last.safetensors"))[0]["0.weight"].values()
            filters.append([values[75 * i:75 * (i + 1)] for i in range(4)])  # the largest components'
        # The statistics are those of the stored images, so that lengths differ; directions do not.
        for a, b in zip(*filters):
            dot = lambda x, y: math.fsum(map(operator.mul, x, y))
            self.assertGreater(abs(dot(a, b)) / math.sqrt(dot(a, a) * dot(b, b)), 0.999)

    def test_mnist_style_names_and_numbered_classes(self):
        os.mkdir(self.path("mnist"))
        for prefix, n in ("train", 3), ("t10k", 2):
            write(self.path("mnist", f"{prefix}-images-idx3-ubyte.gz"), gzip.compress(idx([n, 28, 28], noise(n * 784, n))))
            write(self.path("mnist", f"{prefix}-labels-idx1-ubyte.gz"), gzip.compress(idx([n], [n, 0, 1][:n])))
        self.run_tool("convert", "--dataset", "idx", "--data-dir", "mnist", "--to-idx", "out")
        self.assertEqual(self.read("out", "train_batch_1_images.idx"), ((3, 1, 28, 28), noise(3 * 784, 3)))
        self.assertEqual(self.read("out", "test_batch_labels.idx"), ((2,), b"\x02\x00"))
        self.assertEqual(content(self.path("out", "class_names.txt")), b"0\n1\n2\n3\n")
        self.run_tool("convert", "--dataset", "fashion-mnist", "--data-dir", "mnist", "--to-idx", "fashion")
        self.assertTrue(content(self.path("fashion", "class_names.txt")).startswith(b"T-shirt/top\nTrouser\n"))
        # Grey pictures train a network for colours as they would with three equal planes.
        for name, n in ("train_batch_1", 3), ("test_batch", 2):
            planes = noise(n * 784, n)
            rgb = b"".join(3 * planes[i * 784:(i + 1) * 784] for i in range(n))
            write(self.path("out", f"{name}_images.idx"), idx([n, 3, 28, 28], rgb))
        for run, arguments in ("grey", ["idx", "--data-dir", "mnist"]), ("rgb", ["idx", "--data-dir", "out"]):
            self.run_tool("train", "--dataset", *arguments, "--epochs", "1", "--batch-size", "2", "--out", run)
        self.assertEqual(self.files("grey")["last.safetensors"], self.files("rgb")["last.safetensors"])

    def test_cifar100(self):
        os.mkdir(self.path("cifar100"))
        for name, records in ("train.bin", 50_000), ("test.bin", 10_000):
            with open(self.path("cifar100", name), "wb") as file:
                file.write(b"\x13\x63" + noise(3072))
                file.truncate(records * 3074)
        self.run_tool("convert", "--dataset", "cifar100", "--data-dir", "cifar100", "--to-idx", "out")
        self.assertEqual(self.read("out", "train_batch_5_images.idx")[0], (10_000, 3, 32, 32))
        self.assertEqual(self.read("out", "test_batch_images.idx")[1][:3072], noise(3072))
        self.assertEqual(self.read("out", "train_batch_1_labels.idx")[1][:2], b"\x63\x00")
        os.truncate(self.path("cifar100", "test.bin"), 30_730_000)
        self.assertIn("cifar100/test.bin: found 30730000 bytes, expected 30740000",
                      self.refusal("train", "--dataset", "cifar100", "--data-dir", "cifar100"))

    def test_what_is_wrong(self):
        def message(*expected, folder="idx"):
            found = self.refusal("train", "--dataset", "idx", "--data-dir", folder, "--out", "run")
            for piece in expected:
                self.assertIn(piece, found)
            self.assertFalse(os.path.exists(self.path("run")))

        images, labels = self.path("idx", "train_batch_1_images.idx"), self.path("idx", "train_batch_1_labels.idx")
        message("idx: found no training images", folder="idx")
        self.write_set("idx")
        write(images, b"\0\0\x0a\x04" + bytes(16))
        message("idx/train_batch_1_images.idx: offset 0: found 00000a04, expected 00, 00, a type")
        write(images, idx([4, 3], bytes(12)))
        message("idx/train_batch_1_images.idx: offset 2: found type 08 and rank 2, expected images")
        write(images, idx([4, 3, 32, 32], bytes(4 * 3072 - 1)))
        message("idx/train_batch_1_images.idx: offset 20: found 12287 bytes, expected 12288 for 4x3x32x32 elements")
        write(images, idx([2**32 - 1] * 4, b""))
        message("idx/train_batch_1_images.idx: offset 20: found 0 bytes, expected fewer than 2^64")
        write(images, gzip.compress(idx([4, 3, 32, 32], noise(4 * 3072)))[:-9])
        message("idx/train_batch_1_images.idx: found a damaged gzip file (it ends too early)")
        write(images, gzip.compress(idx([4, 3, 32, 32], noise(4 * 3072))) + b"\0\0\1")
        message("idx/train_batch_1_images.idx: found a damaged gzip file (incorrect header check)")
        self.write_set("idx", labels=(0, 1, 2))
        message("idx/train_batch_1_labels.idx: offset 4: found 3 labels, expected 4 as in idx/train_batch_1_images.idx")
        self.write_set("idx", test_labels=(2, 3))
        message("idx/test_batch_labels.idx: offset 9: found the label 3, expected 0 to 2")
        write(self.path("idx", "class_names.txt"), b"cat\ndog\n")
        message("idx/train_batch_1_labels.idx: offset 10: found the label 2, expected 0 to 1")
        self.write_set("other")
        os.remove(self.path("other", "test_batch_images.idx"))
        message("other/test_batch_images.idx: cannot open: No such file", folder="other")
        write(labels, b"")
        message("idx/train_batch_1_labels.idx: found 0 bytes, expected at least 4")

    def test_batches_behind_a_gap(self):
        self.write_set("idx")
        for name, missing in ("train_batch_3_images.idx", 2), ("train_batch_0_images.idx.gz", 2), ("train_batch_01_images.idx", 2):
            write(self.path("idx", name), b"")
            self.assertEqual(self.refusal("train", "--dataset", "idx", "--data-dir", "idx"),
                             f"idx: found {name} without train_batch_{missing}_images.idx, expected numbers from 1 on without a gap")
            os.remove(self.path("idx", name))
        os.rename(self.path("idx", "train_batch_1_images.idx"), self.path("idx", "train_batch_2_images.idx"))
        self.assertIn("found train_batch_2_images.idx without train_batch_1_images.idx",
                      self.refusal("train", "--dataset", "idx", "--data-dir", "idx"))

    def test_what_would_fail_behind_an_epoch(self):
        def message(expected, *command):
            self.assertEqual(self.refusal(*(command or ["train", "--out", "new"]), "--dataset", "idx", "--data-dir", "idx"), expected)
            self.assertFalse(os.path.exists(self.path("new")))

        self.write_set("idx")
        self.run_tool("train", "--dataset", "idx", "--data-dir", "idx", "--epochs", "1", "--batch-size", "2", "--out", "run")
        evaluate = ["eval", "--weights", "run/best.safetensors"]
        write(self.path("idx", "class_names.txt"), b"cat\nd\xf6g\nrat\n")
        message('IDX files in idx: class 1: found the name "d\N{REPLACEMENT CHARACTER}g", expected UTF-8')
        os.remove(self.path("idx", "class_names.txt"))
        write(self.path("idx", "test_batch_images.idx"), idx([0, 3, 32, 32], b""))
        write(self.path("idx", "test_batch_labels.idx"), idx([0], b""))
        for command in [], evaluate:
            message("IDX files in idx: found 0 test images, expected some", *command)
        self.write_set("idx")
        write(self.path("idx", "train_batch_1_images.idx"), idx([4, 3, 32, 32], (bytes(1024) + noise(2048)) * 4))
        message("IDX files in idx: normalization: std of channel 0 is 0, expected more than 0")
        # Weights that name neither classes nor statistics.
        tensors, metadata = safetensors.read(self.path("run", "best.safetensors"))
        safetensors.write(self.path("bare.safetensors"), tensors, {"model": "SmallAlexNet"})
        evaluate = ["eval", "--weights", "bare.safetensors"]
        message("IDX files in idx: normalization: std of channel 0 is 0, expected more than 0", *evaluate)
        self.write_set("idx", labels=(1, 0, 2, 10))
        for command in [], evaluate:
            message("IDX files in idx: found 11 classes, expected at most the 10 outputs of SmallAlexNet; see alexnet info --all", *command)
        self.write_set("idx")
        normalization = {key: value.rsplit(",", 1)[0] + "]" for key, value in metadata.items() if key in ("mean", "std")}
        self.assertEqual(len(normalization), 2)
        safetensors.write(self.path("bare.safetensors"), tensors, {"model": "SmallAlexNet", **normalization})
        expected = "bare.safetensors: normalization: 2 means and 2 stds, expected 3 of each, one per channel"
        message(expected, *evaluate)
        write(self.path("one.ppm"), b"P6 1 1 255\nabc")
        self.assertEqual(self.refusal("predict", "--weights", "bare.safetensors", "--image", "one.ppm"), expected)

    def test_a_folder_with_files_stays(self):
        os.mkdir(self.path("mine"))
        write(self.path("mine", "precious"), b"")
        self.assertIn("mine: found files in it", self.refusal("convert", "--dataset", "synthetic", "--to-idx", "mine"))
        self.assertEqual(os.listdir(self.path("mine")), ["precious"])


class Folder(IdxTest):
    def place(self, name, data):
        os.makedirs(os.path.dirname(self.path("images", name)), exist_ok=True)
        write(self.path("images", name), data)

    def convert(self):
        self.run_tool("convert", "--dataset", "folder", "--data-dir", "images", "--to-idx", "out")
        return self.read("out", "train_batch_1_images.idx")[1], self.read("out", "train_batch_1_labels.idx")[1]

    def test_every_format_is_decoded(self):
        rgb, grey, rgba, deep = noise(3072, 1), noise(1024, 2), noise(4096, 3), noise(6144, 4)
        self.place("train/b/1.png", png(32, 32, 8, 2, rgb))
        self.place("train/b/2.PNG", png(32, 32, 8, 0, grey))
        self.place("train/b/deeper/3.png", png(32, 32, 8, 6, rgba))
        self.place("train/b/deeper/4.png", png(32, 32, 16, 2, deep))
        self.place("train/b/notes.txt", b"no image")
        self.place("train/b/.hidden.png", b"no image")
        self.place("train/b/.ipynb_checkpoints/1.png", b"no image")
        self.place("train/b/deeper/.cache/more/1.png", b"no image")
        os.mkdir(self.path("images", "train/b/folder.png"))
        self.place("train/a/5.ppm", b"P6 32\n# a comment\n32 255\n" + rgb)
        self.place("train/a/6.pgm", b"P5\n32 32\n255\n" + grey)
        self.place("train/a/7.ppm", b"P6 32 32 15\n" + bytes(x % 16 for x in rgb))
        self.place("train/a/8.jpeg", JPEG)
        self.place("train/a/9.png", JPEG)  # told by what is in it, not by its name
        self.place("val/a/1.ppm", b"P6 32 32 255\n" + rgb)
        self.place("val/b/1.ppm", b"P6 64 16 255\n" + bytes([9, 8, 7]) * 1024)
        pixels, labels = self.convert()
        images = [pixels[i * 3072:(i + 1) * 3072] for i in [*range(0, 9, 2), *range(1, 9, 2)]]
        self.assertEqual(labels, bytes([0, 1] * 4 + [0]))  # by turns
        self.assertEqual(content(self.path("out", "class_names.txt")), b"a\nb\n")
        self.assertEqual(images[0], planes(rgb))
        self.assertEqual(images[1], grey * 3)
        self.assertEqual(images[2], planes(bytes(x % 16 * 17 for x in rgb)))
        self.assertEqual(images[3], images[4])
        self.assertEqual(images[5:7], [planes(rgb), grey * 3])
        self.assertEqual(images[7], planes(rgba, 4))  # alpha is dropped
        self.assertEqual(images[8], planes(deep[::2]))  # of 16 bits the higher 8
        # JPEG at quality 95: a level or two from what was compressed.
        for plane, left, right in zip(range(3), (200, 100, 50), (20, 60, 220)):
            for x, expected in (3, left), (28, right):
                self.assertLessEqual(abs(images[3][plane * 1024 + 32 * 5 + x] - expected), 2)
        # Resized from 64×16.
        self.assertEqual(self.read("out", "test_batch_images.idx")[1][3072:], bytes([9] * 1024 + [8] * 1024 + [7] * 1024))

    def test_pngs_are_what_they_store(self):
        """Whatever a file says of its gamma and colours, as PIL has it."""
        rgb, grey, palette = noise(3072), noise(1024, 2), noise(768, 3)
        gammas = [chunk(b"gAMA", struct.pack(">I", gamma)) for gamma in (45_455, 55_556, 100_000)]
        primaries = chunk(b"cHRM", struct.pack(">8I", 31_270, 32_900, 70_800, 29_200, 17_000, 79_700, 13_100, 4_600))
        files = [(png(32, 32, 8, 2, rgb, more), planes(rgb))
                 for more in (b"", *gammas, gammas[2] + primaries, chunk(b"sRGB", b"\0") + gammas[0])]
        files += [(png(32, 32, 8, 0, grey, gammas[2]), grey * 3),
                  (png(32, 32, 16, 0, noise(2048), gammas[2]), noise(2048)[::2] * 3),
                  (png(32, 32, 8, 4, noise(2048)), noise(2048)[::2] * 3),
                  (png(32, 32, 1, 0, noise(128)),
                   bytes(255 * (x >> bit & 1) for x in noise(128) for bit in range(7, -1, -1)) * 3),
                  (png(32, 32, 8, 3, grey, chunk(b"PLTE", palette) + chunk(b"tRNS", noise(256))),
                   planes(b"".join(palette[3 * i:3 * i + 3] for i in grey)))]
        for i, (data, _) in enumerate(files):
            self.place(f"train/a/{i:02}.png", data)
        self.place("test/a/1.png", files[0][0])
        pixels, _ = self.convert()
        for i, (_, expected) in enumerate(files):
            with self.subTest(i):
                self.assertEqual(pixels[i * 3072:(i + 1) * 3072], expected)

    def test_links_are_followed(self):
        for name in "train/a/1", "train/b/1", "test/a/1", "test/b/1", "../elsewhere/1", "../elsewhere/2":
            self.place(f"{name}.pgm", b"P5 1 1 255\n\7")
        os.symlink("../../../elsewhere", self.path("images", "train/a/more"))
        os.symlink("../../elsewhere", self.path("images", "train/c"))
        os.symlink("../train/c", self.path("images", "test/c"))
        _, labels = self.convert()
        self.assertEqual(sorted(labels), [0, 0, 0, 1, 2, 2])
        os.symlink("..", self.path("images", "train/a/round"))
        self.assertRegex(self.refusal("convert", "--dataset", "folder", "--data-dir", "images", "--to-idx", "new"),
                         "^images/train/a/round: found a link to a folder that it lies in, expected another$")

    def test_class_names_that_are_no_lines(self):
        for name in "new\nline", "blank ", "\t":
            for folder in f"train/{name}", "train/b", "test/b", f"test/{name}":
                self.place(f"{folder}/1.pgm", b"P5 1 1 255\n\7")
            message = self.refusal("convert", "--dataset", "folder", "--data-dir", "images", "--to-idx", "out")
            self.assertIn("expected a name that a line of class_names.txt can hold", message)
            self.assertFalse(os.path.exists(self.path("out")))
            shutil.rmtree(self.path("images"))

    def test_jpegs_in_inks(self):
        for part in "train", "val":
            self.place(f"{part}/a/1.jpg", CMYK)
            self.place(f"{part}/a/2.jpg", YCCK)
        pixels, _ = self.convert()
        for image in pixels[:3072], pixels[3072:]:
            for plane, left, right in zip(range(3), (200, 100, 50), (20, 60, 128)):
                for x, expected in (3, left), (28, right):
                    self.assertLessEqual(abs(image[plane * 1024 + 32 * 5 + x] - expected), 2)

    def test_every_stretch_has_all_classes_in_proportion(self):
        counts = {"cat": 3, "cow": 1, "dog": 12}
        for name, count in counts.items():
            for i in range(count):
                for part in "train", "val":
                    self.place(f"{part}/{name}/{i:02}.pgm", b"P5 1 1 255\n" + bytes([i]))
        pixels, labels = self.convert()
        places = sorted((fractions.Fraction(2 * i + 1, 2 * count), label, i)
                        for label, count in enumerate(counts.values()) for i in range(count))
        self.assertEqual(list(zip(labels, pixels[::3072])), [(label, i) for _, label, i in places])
        output = self.run_tool("train", "--dataset", "folder", "--data-dir", "images", "--epochs", "1", "--batch-size", "2",
                               "--val-size", "4", "--limit-train", "4", "--limit-test", "9", "--out", "run")
        self.assertEqual(len(re.findall("^recall .* %$", output, re.M)), 3)
        self.assertNotIn("nan", output)

    def test_one_unreadable_image_is_named(self):
        good = png(32, 32, 8, 2, noise(3072))
        for name in "train/a/1.png", "train/b/2.png", "test/a/3.png", "test/b/4.png":
            self.place(name, good)
        self.run_tool("train", "--epochs", "1", "--dataset", "folder", "--data-dir", "images", "--batch-size", "2", "--out", "good")
        size = JPEG.index(b"\xff\xc0") + 5
        for name, data, expected in [
            ("cut.png", good[:-30], "found a damaged PNG"),
            ("changed.png", good[:60] + b"xx" + good[62:], "found a damaged PNG"),
            ("huge.png", png(60_000, 60_000, 8, 2, bytes(60_000)), "found 60000x60000 pixels, expected 1 to"),
            ("head.png", png(16_384, 16_384, 8, 2, bytes(16_384)), "found a damaged PNG (of 16384x16384 pixels in"),
            ("cut.jpg", JPEG[:-20], "found a damaged JPEG (Premature end of JPEG file)"),
            ("header.jpg", JPEG[:40], "found a damaged JPEG"),
            ("large.jpg", JPEG[:size] + struct.pack(">HH", 10_000, 20_000) + JPEG[size + 4:],
             "found a damaged JPEG (of 20000x10000 pixels in"),
            ("short.ppm", b"P6 32 32 255\n" + bytes(3071), "found 3072 bytes behind the header, expected 3073"),
            ("long.pgm", b"P5 32 32 255\n" + bytes(1025), "found 1026 bytes behind the header, expected 1025"),
            ("deep.ppm", b"P6 32 32 65535\n" + bytes(6144), "found the largest value 65535, expected 1 to 255"),
            ("over.pgm", b"P5 1 1 7\n\x08", "found the value 8, expected at most 7"),
            ("zero.pgm", b"P5 0 5 255\n", "found 0x5 pixels"),
            ("head.ppm", b"P6 16384 16384 255\n", "found 1 bytes behind the header, expected 805306369"),
            ("close.pgm", b"P5 1 1 255XA", "found a damaged PPM or PGM header"),
            ("words.ppm", b"P6 wide", "found a damaged PPM or PGM header"),
            ("text.png", b"hello, world", "found a file that begins with 68 65 6c 6c 6f 2c 20 77, expected a PNG, JPEG"),
            ("empty.jpg", b"", "found no bytes, expected a PNG, JPEG"),
        ]:
            with self.subTest(name):
                self.place("train/b/" + name, data)
                message = self.refusal("train", "--dataset", "folder", "--data-dir", "images", "--out", "run")
                self.assertTrue(message.startswith(f"images/train/b/{name}: {expected}"), message)
                self.assertFalse(os.path.exists(self.path("run")))
                os.remove(self.path("images", "train/b", name))

    def test_one_image_that_cannot_be_resized_is_named(self):
        """Images that are not too large, but for their shape."""
        for name in "train/a/1.png", "train/b/2.png", "test/a/3.png", "test/b/4.png":
            self.place(name, png(32, 32, 8, 2, noise(3072)))
        folder = ["--dataset", "folder", "--data-dir", "images"]
        self.run_tool("train", *folder, "--epochs", "1", "--batch-size", "2", "--out", "good")
        train, evaluate = ["train", *folder, "--out", "run"], ["eval", *folder, "--weights", "good/best.safetensors"]
        for command, part, name, size in [
            ([*train, "--shorter-side", "32"], "train", "wide.pgm", (262_145, 1)),
            (train, "train", "high.pgm", (1, 8_388_609)),
            ([*evaluate, "--shorter-side", "32"], "test", "wide.pgm", (262_145, 1)),
            (evaluate, "test", "high.pgm", (1, 8_388_609)),
            (["convert", *folder, "--to-idx", "out"], "test", "high.pgm", (1, 8_388_609)),
        ]:
            with self.subTest(command=command, name=name):
                width, height = size
                self.place(f"{part}/b/{name}", b"P5 %d %d 255\n" % size + bytes(width * height))
                self.assertEqual(self.refusal(*command), f"images/{part}/b/{name}: found {width}x{height} pixels, expected at most "
                                                         "268435456 in all while it is resized")
                os.remove(self.path("images", part, "b", name))
        self.assertEqual(sorted(os.listdir(self.folder)), ["good", "images"])

    def test_folders_that_are_none(self):
        def message(expected):
            self.assertIn(expected, self.refusal("train", "--dataset", "folder", "--data-dir", "images"))
        message("images/train: cannot read the folder: No such file or directory")
        os.makedirs(self.path("images", "train"))
        message("images/train: found 0 folders, expected one per class")
        os.mkdir(self.path("images", "train", "a"))
        message("images/train/a: found no image")
        self.place("train/a/1.jpg", JPEG)
        message("images/val: cannot read the folder")
        self.place("val/b/1.jpg", JPEG)
        message("images/val: found other folders than in train")
        os.rename(self.path("images", "val", "b"), self.path("images", "val", "a"))
        for part in "train", "val":
            os.rename(self.path("images", part, "a"), os.path.join(os.fsencode(self.path("images", part)), b"\xe4"))
        message('image files in images: class 0: found the name "\N{REPLACEMENT CHARACTER}", expected UTF-8')


class Weights(IdxTest):
    # AlexNet32's tensors as ML Odyssey names them, and ours.
    SHAPES = {"conv1_kernel": [96, 3, 11, 11], "conv2_kernel": [256, 96, 5, 5], "conv3_kernel": [384, 256, 3, 3],
              "conv4_kernel": [384, 384, 3, 3], "conv5_kernel": [256, 384, 3, 3], "fc1_weights": [4096, 256],
              "fc2_weights": [4096, 4096], "fc3_weights": [10, 4096]}
    LAYERS = [0, 3, 6, 8, 10, 14, 17, 20]

    def test_ml_odysseys_sixteen_files_make_the_round_trip(self):
        tensors, names = {}, {}
        for layer, (name, shape) in zip(self.LAYERS, self.SHAPES.items()):
            count = 4
            for n in shape:
                count *= n
            tensors[f"{layer}.weight"] = safetensors.Tensor("F32", shape, noise(count, layer))
            tensors[f"{layer}.bias"] = safetensors.Tensor("F32", shape[:1], noise(4 * shape[0], -layer))
            names[f"{layer}.weight"], names[f"{layer}.bias"] = name, name.split("_")[0] + "_bias"
        safetensors.write(self.path("w.safetensors"), tensors, {"model": "AlexNet32"})
        self.run_tool("convert", "--weights", "w.safetensors", "--to-hex", "hex", "--numbered")
        self.assertEqual(sorted(os.listdir(self.path("hex"))), sorted(f"{name}.weights" for name in names.values()))
        for key, name in names.items():
            lines = content(self.path("hex", f"{name}.weights")).split(b"\n")
            self.assertEqual(lines[:2], [name.encode(), b"float32 " + b" ".join(b"%d" % n for n in tensors[key].shape)])
            self.assertEqual(lines[2], tensors[key].data.hex().encode())
            self.assertEqual(lines[3:], [b""])
        self.run_tool("convert", "--from-hex", "hex", "--to-weights", "back.safetensors", "--model", "alexnet32")
        found, metadata = safetensors.read(self.path("back.safetensors"))
        self.assertEqual(found, tensors)
        self.assertEqual(metadata["model"], "AlexNet32")

    def small(self):
        self.write_set("idx")
        self.run_tool("train", "--dataset", "idx", "--data-dir", "idx", "--out", "run", "--epochs", "1", "--batch-size", "2")
        return safetensors.read(self.path("run", "best.safetensors"))

    def test_other_networks_under_their_own_names(self):
        tensors, _ = self.small()
        self.run_tool("convert", "--weights", "run/best.safetensors", "--to-hex", "hex")
        self.assertEqual(sorted(os.listdir(self.path("hex"))), sorted(f"{name}.weights" for name in tensors))
        self.run_tool("convert", "--from-hex", "hex", "--to-weights", "back.safetensors", "--model", "small")
        self.assertEqual(safetensors.read(self.path("back.safetensors"))[0], tensors)
        arguments = ["eval", "--dataset", "idx", "--data-dir", "idx", "--weights"]
        self.assertEqual(self.run_tool(*arguments, "back.safetensors").splitlines()[1:],
                         self.run_tool(*arguments, "run/best.safetensors").splitlines()[1:])
        self.assertIn("numbered names", self.refusal("convert", "--weights", "run/best.safetensors", "--to-hex", "x", "--numbered"))
        self.assertFalse(os.path.exists(self.path("x")))

        def message(data, expected):
            write(self.path("hex", "23.bias.weights"), data)
            found = self.refusal("convert", "--from-hex", "hex", "--to-weights", "new.safetensors", "--model", "small")
            self.assertTrue(found.startswith("hex/23.bias.weights: " + expected), found)
            self.assertFalse(os.path.exists(self.path("new.safetensors")))
        good = content(self.path("hex", "23.bias.weights"))
        message(good[:-2], "line 3: found 79 digits, expected 80")
        message(good[:-3] + b"g0\n", 'line 3: found "g" as digit 79, expected one of 0 to 9, a to f')
        message(good.replace(b"float32 10", b"float32 11"), 'line 2: found "float32 11", expected "float32 10"')
        message(good.replace(b"bias", b"weight"), 'line 1: found "23.weight", expected "23.bias"')
        os.remove(self.path("hex", "23.bias.weights"))
        self.assertIn("hex/23.bias.weights: cannot open: No such file",
                      self.refusal("convert", "--from-hex", "hex", "--to-weights", "new.safetensors", "--model", "small"))

    def test_native_files_stand_in_for_safetensors(self):
        tensors, metadata = self.small()
        output = self.run_tool("convert", "--weights", "run/best.safetensors", "--to-native", "small.native")
        self.assertEqual(output, "SmallAlexNet of run/best.safetensors in small.native\n")
        arenas, found = safetensors.read(self.path("small.native"))
        self.assertEqual(sorted(arenas), ["buffers", "parameters"])
        self.assertEqual({key: found[key] for key in metadata}, metadata)
        self.assertEqual((found["format"], found["batches_tracked"]), ("ctnn native 1", "2"))

        write(self.path("picture.ppm"), b"P6 40 30 255\n" + noise(3600))
        for arguments in (["eval", "--dataset", "idx", "--data-dir", "idx"], ["eval", "--dataset", "idx", "--data-dir", "idx", "--half"],
                          ["predict", "--image", "picture.ppm", "--show-all-probs", "--csv", "-"]):
            of = lambda name: self.run_tool(*arguments, "--weights", name).replace(name, "")
            self.assertEqual(of("small.native"), of("run/best.safetensors"))
        self.run_tool("convert", "--weights", "small.native", "--to-weights", "back.safetensors")
        self.assertEqual(content(self.path("back.safetensors")), content(self.path("run", "best.safetensors")))
        for name in "run/best.safetensors", "small.native":
            self.run_tool("convert", "--weights", name, "--to-hex", "hex-" + os.path.basename(name))
            self.run_tool("export", "--weights", name, "--header", os.path.basename(name) + ".hpp")
        for name in os.listdir(self.path("hex-small.native")):
            self.assertEqual(content(self.path("hex-small.native", name)), content(self.path("hex-best.safetensors", name)))
        self.assertEqual(content(self.path("small.native.hpp")), content(self.path("best.safetensors.hpp")))

        before = content(self.path("run", "best.safetensors"))
        for option in "--to-native", "--to-weights":
            self.assertEqual(f"{option}: found ./run/best.safetensors, expected another file than that of --weights",
                             self.refusal("convert", "--weights", "run/best.safetensors", option, "./run/best.safetensors"))
        self.assertEqual(content(self.path("run", "best.safetensors")), before)

        # Of PyTorch: no metadata. The network is named once.
        safetensors.write(self.path("bare.safetensors"), tensors)
        self.run_tool("convert", "--weights", "bare.safetensors", "--model", "small", "--to-native", "bare.native")
        self.run_tool("eval", "--weights", "bare.native", "--dataset", "idx", "--data-dir", "idx")

    def test_native_files_that_are_damaged_or_of_others(self):
        self.small()
        self.run_tool("convert", "--weights", "run/best.safetensors", "--to-native", "small.native")
        good = content(self.path("small.native"))
        arenas, metadata = safetensors.read(self.path("small.native"))
        write(self.path("picture.ppm"), b"P6 40 30 255\n" + noise(3600))

        def message(expected, *arguments):
            for command in (["predict", "--image", "picture.ppm"], ["eval", "--dataset", "idx", "--data-dir", "idx"],
                            ["convert", "--to-weights", "x"]):
                found = self.refusal(*command, "--weights", "small.native", *arguments)
                self.assertTrue(found.startswith("small.native: " + expected), found)
                self.assertFalse(os.path.exists(self.path("x")))
        message("metadata 'layout': found \"", "--model", "alexnet32")
        write(self.path("small.native"), good[:-1])
        message('tensor "parameters": found ')
        safetensors.write(self.path("small.native"), arenas, {**metadata, "format": "ctnn native 7"})
        message("metadata 'format': found \"ctnn native 7\", expected \"ctnn native 1\"")

    def test_export_writes_every_weight_exactly(self):
        tensors, metadata = self.small()
        output = self.run_tool("export", "--weights", "run/best.safetensors", "--header", "small.hpp", "--name", "small")
        self.assertIn("small::view<ctnn::SmallAlexNet>() in small.hpp", output)
        text = content(self.path("small.hpp")).decode()
        arrays = {name: [float.fromhex(x.rstrip("f")) for x in re.findall(r"[^\s,]+", values)]
                  for name, values in re.findall(r"inline constexpr float (\w+)\[\] = \{([^}]*)\}", text)}
        self.assertEqual(sorted(arrays), ["buffers", "mean", "parameters", "standard_deviation"])
        # Stored in another order and padded with zeros; values are the same ones.
        expected = [x for name, tensor in tensors.items() if name.endswith(("weight", "bias")) for x in tensor.values()]
        self.assertEqual(len(expected), 387_690)
        self.assertEqual(sorted(x for x in arrays["parameters"] if x != 0), sorted(x for x in expected if x != 0))
        self.assertEqual(arrays["parameters"][-16:-6], list(tensors["23.bias"].values()))
        self.assertEqual(arrays["buffers"][:32], list(tensors["1.running_mean"].values()))
        self.assertEqual(re.findall(r'\n    "([^"]+)",', text), re.findall(r'"([^"]+)"', metadata["classes"]))

    def test_export_of_what_cannot_be(self):
        tensors, metadata = self.small()
        arguments = ["export", "--weights", "run/best.safetensors", "--header"]
        self.assertIn('found the name "2nd", expected a C++ identifier', self.refusal(*arguments, "x.hpp", "--name", "2nd"))
        for name in "class", "xor", "co_await":
            self.assertEqual(f"--name: found {name}, a keyword of C++, expected another name",
                             self.refusal(*arguments, "x.hpp", "--name", name))
        os.symlink("run/best.safetensors", self.path("link"))
        before = content(self.path("link"))
        for name in "run/best.safetensors", "./run/../run/best.safetensors", "link":
            self.assertEqual(f"--header: found {name}, expected another file than that of --weights", self.refusal(*arguments, name))
        self.assertEqual(content(self.path("link")), before)
        self.assertIn("run: found a directory", self.refusal(*arguments, "run"))
        tensors["23.bias"] = safetensors.Tensor.of("F32", [10], [float("inf")] * 10)
        safetensors.write(self.path("run/best.safetensors"), tensors, metadata)
        self.assertIn("found inf", self.refusal(*arguments, "x.hpp"))
        self.assertFalse(os.path.exists(self.path("x.hpp")))


class Options(ToolTest):
    def test_each_is_named_with_what_was_expected(self):
        for arguments, expected in [
            (["convert"], ["--to-idx", "--to-hex", "--to-weights", "--to-native"]),
            (["convert", "--to-idx", "x"], ["--to-idx", "--dataset"]),
            (["convert", "--to-idx", "x", "--dataset", "mnist"], ["--dataset", "mnist"]),
            (["convert", "--to-idx", "x", "--dataset", "synthetic", "--numbered"], ["--numbered", "--to-hex"]),
            (["convert", "--to-hex", "x"], ["--to-hex", "--weights"]),
            (["convert", "--to-hex", "x", "--weights", "gone"], ["gone: cannot open"]),
            (["convert", "--to-weights", "x"], ["--to-weights", "--weights", "--from-hex"]),
            (["convert", "--to-native", "x"], ["--to-native", "--weights"]),
            (["convert", "--to-native", "x", "--from-hex", "y", "--model", "small"], ["--to-weights"]),
            (["convert", "--to-weights", "x", "--from-hex", "y", "--weights", "z", "--model", "small"], ["--from-hex"]),
            (["convert", "--to-weights", "x", "--from-hex", "y"], ["--model"]),
            (["convert", "--to-weights", "x", "--from-hex", "y", "--model", "resnet"], ["resnet", "small"]),
            (["convert", "--to-weights", "x", "--from-hex", "y", "--model", "small"], ["y/0.weight.weights: cannot open"]),
            (["export", "--weights", "x"], ["--header"]),
            (["export", "--header", "x"], ["--weights"]),
        ]:
            with self.subTest(arguments):
                message = self.refusal(*arguments)
                for piece in expected:
                    self.assertIn(piece, message)
                self.assertEqual(os.listdir(self.folder), [])


if __name__ == "__main__":
    unittest.main()
