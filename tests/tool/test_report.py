"""The report of a run, read as HTML beside the run's files, and drawn by a browser."""

import json
import math
import os
import random
import re
import shutil
import struct
import subprocess
import unittest

from page import Page, picture, table
from tensorboard import Value, decode_png, fields, only, records
from tool import SHORT, TEST, ToolTest, content, safetensors, write

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SHOWN = 24


def duration(seconds):
    """Minutes and seconds. Half a second is rounded up, where Python's formats round to the even one."""
    minutes, seconds = divmod(math.floor(seconds + 0.5), 60)
    return f"{minutes}:{seconds:02}"


def number(text):
    """Of "81.23 %", "81.23 % (best)" or "1234 images/s"."""
    return float(text.split(" ")[0])


class Report(ToolTest):
    def page(self, *names):
        """A page that needs nothing beside itself."""
        data = content(self.path(*names))
        page = Page(data)
        self.assertTrue(data.startswith(b"<!DOCTYPE html>\n<html lang=\"en\">"))
        self.assertNotRegex(data, rb"https?://|@import|url\(")
        for element in page.root.all():
            self.assertNotIn(element.tag, {"script", "link", "iframe", "object", "embed", "base", "form", "a"})
            for name, value in element.attributes.items():
                self.assertFalse(name.startswith("on") or name in {"href", "srcset", "action", "background"}, name)
                if name == "src":
                    self.assertTrue(value.startswith("data:image/png;base64,"), value[:40])
        self.assertEqual([e["content"] for e in page.root.all("meta") if "http-equiv" in e.attributes],
                         ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"])
        return page

    def tables(self, element):
        return [table(t) for t in element.all("table")]

    def settings(self, *runs):
        """What each run.json says, as the page's texts."""
        found = []
        for run in runs:
            json_text = json.loads(content(self.path(run, "run.json")))
            flat = {**json_text.pop("settings"), **json_text}
            found.append({key: ("–" if v == "" else v) if isinstance(v, str) else v for key, v in flat.items()})
        return found

    def assert_setting(self, shown, expected):
        self.assertEqual(shown if isinstance(expected, str) else json.loads(shown), expected)

    def check_series(self, chart, name, said, values):
        """A series' marks, and what they say, are these numbers, by epochs."""
        self.assertEqual([x for x, _ in chart.said[name]], list(range(1, len(values) + 1)))
        for epoch, ((x, y), (_, text), value) in enumerate(zip(chart.series[name], chart.said[name], values), 1):
            self.assertAlmostEqual(x, epoch, delta=chart.error_x)
            self.assertAlmostEqual(y, value, delta=chart.error_y)
            self.assertEqual(text.removesuffix(" (best)"), said(value))

    def make_images(self, names, test=3, side=32):
        """A folder of noise; its test images in the order in which they are numbered, as (class, pixels, path)."""
        draw, pictures = random.Random(1), []
        for part, count in ("train", 8), ("test", test):
            for name in names:
                os.makedirs(self.path("images", part, name))
                for i in range(count):
                    pixels = draw.randbytes(3 * side * side)
                    write(self.path("images", part, name, f"{i:02}.ppm"), b"P6 %d %d 255\n" % (side, side) + pixels)
                    if part == "test":
                        pictures.append((name, pixels, f"images/test/{name}/{i:02}.ppm"))
        # A picture of each class by turns: all have as many.
        return sorted(pictures, key=lambda picture: (os.path.basename(picture[2]), picture[0]))

    FOLDER = ["train", "--dataset", "folder", "--data-dir", "images", "--epochs", "1", "--batch-size", "8",
              "--schedule", "constant", "--no-tensorboard", "--out"]

    def make_idx(self, classes, train=100, test=60):
        """Grey noise of 8x8 in as many classes as asked for."""
        os.mkdir(self.path("idx"))
        draw = random.Random(2)
        for name, count in ("train", train), ("t10k", test):
            labels = bytes(i % classes for i in range(count))
            write(self.path("idx", f"{name}-images-idx3-ubyte"), struct.pack(">IIII", 0x803, count, 8, 8) + draw.randbytes(64 * count))
            write(self.path("idx", f"{name}-labels-idx1-ubyte"), struct.pack(">II", 0x801, count) + labels)


class OneRun(Report):
    CAPTION = r"(.+)is: (.+?)([\d.]+) %, no\. \d+"

    def test_everything_agrees_with_the_runs_files(self):
        output = self.run_tool(*SHORT, "--out", "run", "--threads", "2")
        self.assertTrue(output.endswith("metrics.csv, run.json, report.html\n"))
        page = self.page("run", "report.html")
        self.assertEqual(page.root.one("h1").text, "run")
        self.check_figures(page)
        self.check_curves(page)
        self.check_classes(page)
        self.check_filters(page)
        self.check_tables(page)
        # The same once more by the command, elsewhere.
        self.assertEqual(self.run_tool("report", "run", "--threads", "1", "--out", "again.html"), "report in again.html\n")
        self.assertEqual(content(self.path("again.html")), content(self.path("run", "report.html")))

    def check_figures(self, page):
        rows = self.rows("run")
        best = max(rows, key=lambda row: row["eval_accuracy"])
        figures = page.figures()
        evaluated = self.run_tool("eval", "--weights", "run/best.safetensors", *TEST)
        self.recalls = dict(re.findall(r"^recall (\S.*?) +(\d+\.\d\d %)$", evaluated, re.M))
        for name, line in ("Test accuracy", "accuracy"), ("Test loss", "loss"), ("Top-5", "top-5"):
            self.assertIn(f"\n{line} {figures.pop(name)}\n", evaluated)
        self.assertEqual(figures.pop("Best epoch"), f"{best['epoch']:.0f} of 3")
        seconds = sum(row["seconds"] for row in rows)
        self.assertEqual(figures.pop("Training time"), duration(seconds))
        rate = sum(row["seconds"] * row["images_per_second"] for row in rows) / seconds
        self.assertAlmostEqual(float(figures.pop("Images a second")), rate, delta=0.51)
        self.assertEqual(figures, {"Parameters": "387690"})
        self.assertEqual(list(page.root.all("p", "missing")), [])

    def check_curves(self, page):
        rows, charts = self.rows("run"), page.charts()
        four, percent = "{:.4f}".format, "{:.2f} %".format
        best = rows.index(max(rows, key=lambda row: row["eval_accuracy"]))
        expected = {
            "Loss": {"training": (four, "train_loss", 1), "test": (four, "eval_loss", 1)},
            "Accuracy, %": {"training": (percent, "train_accuracy", 100), "test": (percent, "eval_accuracy", 100)},
            "Learning rate at the end of the epoch": {"learning rate": ("{:.5g}".format, "lr", 1)},
            "Images a second in training": {"speed": ("{:.0f} images/s".format, "images_per_second", 1)}}
        self.assertEqual(charts.keys(), expected.keys())
        for title, series in expected.items():
            chart = charts[title]
            self.assertEqual(list(chart.series), list(series))
            self.assertEqual(chart.legend, list(series) if len(series) > 1 else [])
            self.assertEqual(chart.dashed, {"training"} & series.keys())
            for name, (said, column, times) in series.items():
                self.check_series(chart, name, said, [times * row[column] for row in rows])
                self.assertEqual(chart.best[name], [best] if name == "test" else [])

    def check_classes(self, page):
        confusion, recalls = self.tables(page.section("classes"))
        names, cells = confusion[0][1:], [list(map(int, row[1:])) for row in confusion[1:]]
        self.assertEqual([row[0] for row in confusion[1:]], names)
        self.assertEqual(list(self.recalls), names)
        self.assertEqual([sum(row) for row in cells], [20] * 10)
        hits = sum(cells[i][i] for i in range(10))
        self.assertEqual(page.figures()["Test accuracy"], f"{hits / 2:.2f} %")
        depths = [float(c["style"].removeprefix("--s:")) for c in page.section("classes").one("table", "confusion").all("td")
                  if "style" in c.attributes]
        for depth, count in zip(depths, sum(cells, []), strict=True):  # the stronger, the larger the share
            self.assertAlmostEqual(depth, (count / 20) ** 0.5, delta=0.00051)
        self.assertEqual([row[0] for row in recalls[1:]], names)
        for i, (name, images, recall, _, most) in enumerate(recalls[1:]):
            self.assertEqual((images, recall), ("20", self.recalls[name]))
            self.assertEqual(recall, f"{5 * cells[i][i]:.2f} %")
            others = [count if j != i else 0 for j, count in enumerate(cells[i])]
            self.assertEqual(most, f"{names[others.index(max(others))]} ({max(others)})" if max(others) else "\N{EN DASH}")

        mistakes = list(page.section("mistakes").all("figure"))
        self.assertEqual(len(mistakes), min(SHOWN, 200 - hits))
        probabilities = []
        for mistake in mistakes:
            guess, truth, probability = re.fullmatch(self.CAPTION, mistake.one("figcaption").text).groups()
            self.assertGreater(cells[names.index(truth)][names.index(guess)], 0)
            self.assertNotEqual(truth, guess)
            self.assertEqual(picture(mistake.one("img"))[:3], (32, 32, 3))
            probabilities.append(float(probability))
        self.assertEqual(probabilities, sorted(probabilities, reverse=True))

    def check_filters(self, page):
        """The picture is the one that was made for TensorBoard behind the best epoch, whose test looks at its pixels."""
        step = 5 * int(page.figures()["Best epoch"].split()[0])
        events, = [name for name in os.listdir(self.path("run")) if name.startswith("events.")]
        values = [Value(event[2], value) for event in map(only, records(content(self.path("run", events)))) if 5 in event
                  for _, value in fields(event[5])]
        expected, = [v.png for v in values if (v.tag, v.step) == ("filters", step)]
        self.assertEqual(picture(page.section("filters").one("img")), decode_png(expected))

    def check_tables(self, page):
        epochs, = self.tables(page.section("epochs"))
        rows = self.rows("run")
        for shown, row in zip(epochs[1:-1], rows, strict=True):
            epoch, lr, train_loss, train_accuracy, loss, accuracy, rate, seconds = map(number, shown)
            self.assertEqual(epoch, row["epoch"])
            self.assertAlmostEqual(lr, row["lr"], delta=1e-5 * row["lr"])
            self.assertAlmostEqual(seconds, row["seconds"], delta=0.0501)
            self.assertAlmostEqual(rate, row["images_per_second"], delta=0.501)
            for found, expected in [(train_loss, row["train_loss"]), (loss, row["eval_loss"]),
                                    (train_accuracy / 100, row["train_accuracy"]), (accuracy / 100, row["eval_accuracy"])]:
                self.assertAlmostEqual(found, expected, delta=0.0000501)
        self.assertAlmostEqual(number(epochs[-1][-1]), sum(row["seconds"] for row in rows), delta=0.0501)

        info = self.run_tool("info", "--model", "small", "--batch-size", "64", "--threads", "2")
        layers, memory = self.tables(page.section("network"))
        expected = re.findall(r"^ +(\d+) +(\d+)  (\S.*?) +(\S+) +(\d+) +(\d+)$", info, re.M)
        self.assertEqual([tuple(row) for row in layers[1:-1]], expected)
        self.assertEqual(layers[-1][-2:], re.search(r"^sum .*$", info, re.M)[0].split()[-2:])
        for name, image, thread, fixed, total, mib in memory[1:]:
            self.assertIn(f"{name} plan {total} bytes ({mib} MiB) for batch 64 on 2 threads: {image} an image, "
                          f"{thread} a thread, {fixed} fixed", info)
        self.assertEqual([row[0] for row in memory[1:]], ["training", "inference"])

        shown = [row for part in self.tables(page.section("settings")) for row in part[1:]]
        expected, = self.settings("run")
        self.assertEqual(expected["schedule"], "linear")
        of_others = {"step_size", "milestones", "gamma", "power", "pct_start", "div_factor", "final_div_factor", "anneal"}
        self.assertLess(of_others, set(expected))
        self.assertEqual(sorted(key for key, _ in shown), sorted(set(expected) - of_others))
        for key, value in shown:
            self.assert_setting(value, expected[key])

    def test_mistakes_are_those_that_predict_makes(self):
        pictures = self.make_images(["cat", "dog"], test=20)
        self.run_tool(*self.FOLDER, "run", "--test-flip")
        page = self.page("run", "report.html")
        predicted = json.loads(self.run_tool("predict", "--weights", "run/best.safetensors", "--image-dir", "images/test",
                                             "--test-flip", "--json", "-", "--quiet"))["images"]
        expected = []
        self.assertEqual([image["file"] for image in predicted], sorted(path for _, _, path in pictures))
        guesses = {image["file"]: image["predictions"] for image in predicted}
        for i, (truth, pixels, path) in enumerate(pictures):
            guess, = guesses[path]
            if guess["class"] != truth:
                expected.append((-guess["probability"], i, truth, guess["class"], pixels))
        expected.sort()
        self.assertGreater(len(expected), 4)
        shown = list(page.section("mistakes").all("figure"))
        for figure, (probability, i, truth, guess, pixels) in zip(shown, expected[:SHOWN], strict=True):
            guess = guess if guess in ("cat", "dog") else f"class {guess}"  # an output that no image trained
            self.assertEqual(figure.one("figcaption").text, f"{guess}is: {truth}{-100 * probability:.2f} %, no. {i}")
            self.assertEqual(b"".join(picture(figure.one("img"))[3]), pixels)

    def test_nothing_was_mistaken(self):
        self.make_images(["cat"])
        self.run_tool(*self.FOLDER, "run", "--epochs", "3", "--lr", "0.01")
        page = self.page("run", "report.html")
        self.assertEqual(page.figures()["Test accuracy"], "100.00 %")
        self.assertIn("There are none", page.section("mistakes").text)
        self.assertEqual(list(page.section("mistakes").all("img")), [])

    def test_validation(self):
        self.make_images(["cat", "dog"], test=20)
        self.run_tool(*self.FOLDER, "run", "--epochs", "2", "--val-size", "5")
        page = self.page("run", "report.html")
        figures = page.figures()
        best = max(row["eval_accuracy"] for row in self.rows("run"))
        self.assertEqual(figures["Best validation accuracy"], f"{100 * best:.2f} %")
        evaluated = self.run_tool("eval", "--weights", "run/best.safetensors", "--dataset", "folder", "--data-dir", "images")
        self.assertIn(f"\naccuracy {figures['Test accuracy']}\n", evaluated)
        self.assertEqual(page.charts()["Loss"].legend, ["training", "validation"])

    def test_many_classes(self):
        self.make_idx(25)
        self.run_tool("train", "--dataset", "idx", "--data-dir", "idx", "--model", "small100", "--epochs", "1",
                     "--batch-size", "50", "--lr", "1e-9", "--schedule", "constant", "--no-tensorboard", "--out", "run")
        page = self.page("run", "report.html")
        frequent, recalls = self.tables(page.section("classes"))
        self.assertEqual(picture(page.section("classes").one("img"))[:3], (25 * 12, 25 * 12, 3))
        self.assertEqual(len(recalls), 1 + 25)
        counts = [int(row[2]) for row in frequent[1:]]
        self.assertEqual((len(counts), counts), (20, sorted(counts, reverse=True)))
        # An untrained network guesses at any of its outputs, of which most have no class here.
        self.assertTrue(any(row[1].startswith("class ") for row in frequent[1:]))
        self.assertEqual(sum(int(row[1]) for row in recalls[1:]), 60)


    def test_outputs_without_a_class(self):
        self.make_idx(3)
        self.run_tool("train", "--dataset", "idx", "--data-dir", "idx", "--epochs", "1", "--no-tensorboard", "--out", "run", "--no-report")
        # Nothing trained the other seven outputs; now one of them wins always.
        tensors, metadata = safetensors.read(self.path("run", "best.safetensors"))
        tensors["23.bias"] = safetensors.Tensor.of("F32", [10], [0.0] * 7 + [100.0] + [0.0] * 2)
        safetensors.write(self.path("run", "best.safetensors"), tensors, metadata)
        self.run_tool("report", "run")
        page = self.page("run", "report.html")
        confusion, recalls = self.tables(page.section("classes"))
        self.assertEqual(confusion, [["", "0", "1", "2", "no class"]] + [[c, "0", "0", "0", "20"] for c in "012"])
        self.assertEqual([row[-1] for row in recalls[1:]], ["class 7 (20)"] * 3)
        self.assertEqual(page.figures()["Test accuracy"], "0.00 %")
        mistakes = list(page.section("mistakes").all("figcaption"))
        self.assertEqual(len(mistakes), SHOWN)
        for i, mistake in enumerate(mistakes):  # of equals the first
            self.assertEqual(mistake.text, f"class 7is: {i % 3}100.00 %, no. {i}")

    def test_names_are_text(self):
        hostile = "<img src=x onerror=alert(1)>&\"'\x01</td>"
        folder, run = hostile.replace("/", ""), "<script>run&amp;\"'"
        self.make_images([folder, "dog"])
        self.run_tool(*self.FOLDER, run)
        page = self.page(run, "report.html")  # balanced, and without any such element
        self.assertEqual(page.root.one("h1").text, run)
        self.assertEqual(page.root.one("head").one("title").text, f"{run}: SmallAlexNet")
        confusion, recalls = self.tables(page.section("classes"))
        name = folder.replace("\x01", "\ufffd")
        self.assertEqual(sorted(confusion[0][1:3]), sorted([name, "dog"]))
        self.assertIn(name, [row[0] for row in recalls])
        os.rename(self.path(run), self.path("other"))
        shutil.copytree(self.path("other"), self.path(run))
        self.run_tool("report", run, "other")
        self.assertIn(f"{run}, test", self.page("report.html").charts()["Loss"].legend)

    def test_a_limited_test_set_is_limited_again(self):
        self.run_tool(*SHORT, "--epochs", "1", "--out", "run", "--no-report")
        self.run_tool("report", "run")
        self.assertEqual(self.page("run", "report.html").figures()["Test accuracy"],
                         f"{100 * self.rows('run')[0]['eval_accuracy']:.2f} %")


class Missing(Report):
    def report(self, *arguments):
        """What is said on standard error by a report that is made all the same."""
        process = self.start("report", *arguments)
        output, errors = process.communicate(timeout=300)
        self.assertEqual((process.returncode, output), (0, "report in run/report.html\n"), errors)
        return errors

    def sections(self, page):
        return [section["id"] for section in page.root.all("section")]

    ALL = ["curves", "classes", "mistakes", "filters", "epochs", "network", "settings"]

    def test_images_and_weights(self):
        self.make_images(["cat", "dog"])
        self.run_tool(*self.FOLDER, "run")
        whole = content(self.path("run", "report.html"))
        self.assertEqual(self.sections(Page(whole)), self.ALL)
        os.rename(self.path("images"), self.path("moved"))
        errors = self.report("run")
        self.assertRegex(errors, r"\Aalexnet: images/train: [^\n]+; the report does without [^\n]+\n\Z")
        page = self.page("run", "report.html")
        self.assertEqual(self.sections(page), [name for name in self.ALL if name not in ("classes", "mistakes")])
        notice = page.root.one("p", "missing").text
        self.assertIn(errors[len("alexnet: "):errors.index("; the report")], notice)
        self.assertIn("Best test accuracy", page.figures())
        self.assertNotIn("Test accuracy", page.figures())
        # There they are.
        self.assertEqual(self.report("run", "--data-dir", "moved"), "")
        self.assertEqual(self.sections(self.page("run", "report.html")), self.ALL)
        self.assertEqual(content(self.path("run", "report.html")).replace(b"image files in moved", b"image files in images"), whole)
        # Images of other classes are none of this run's.
        os.rename(self.path("moved", "test", "dog"), self.path("moved", "test", "cow"))
        os.rename(self.path("moved", "train", "dog"), self.path("moved", "train", "cow"))
        self.assertRegex(self.report("run", "--data-dir", "moved"), r'\Aalexnet: run/best\.safetensors: class 1: [^\n]+\n\Z')
        for damage in lambda path: write(path, b"damaged"), os.remove:
            damage(self.path("run", "best.safetensors"))
            self.assertRegex(self.report("run", "--data-dir", "moved"), r"\Aalexnet: run/best\.safetensors: [^\n]+\n\Z")
            self.assertEqual(self.sections(self.page("run", "report.html")), ["curves", "epochs", "network", "settings"])

    def test_a_network_that_this_program_lacks(self):
        self.make_images(["cat", "dog"])
        self.run_tool(*self.FOLDER, "run")
        path = self.path("run", "run.json")
        write(path, content(path).replace(b'"model": "small"', b'"model": "huge"'))
        self.assertRegex(self.report("run"), r"\Aalexnet: unknown model 'huge'[^\n]+\n\Z")
        self.assertEqual(self.sections(self.page("run", "report.html")), ["curves", "epochs", "settings"])

    def test_only_a_run_that_is_complete_has_one_of_itself(self):
        self.make_images(["cat", "dog"])
        self.run_tool(*self.FOLDER, "run", "--epochs", "3", "--stop-after", "2")
        self.assertFalse(os.path.exists(self.path("run", "report.html")))
        self.run_tool("report", "run")
        page = self.page("run", "report.html")
        self.assertIn("The run has 2 of its 3 epochs.", page.root.one("p", "missing").text)
        os.remove(self.path("run", "report.html"))
        self.assertNotIn("report.html", self.run_tool("train", "--resume", "run", "--no-report").splitlines()[-1])
        self.assertFalse(os.path.exists(self.path("run", "report.html")))
        self.assertIn("report.html", self.run_tool("train", "--resume", "run").splitlines()[-1])
        self.assertEqual(list(self.page("run", "report.html").root.all("p", "missing")), [])

    def test_a_report_that_cannot_be_written_loses_no_run(self):
        self.make_images(["cat", "dog"])
        self.run_tool(*self.FOLDER, "run", "--epochs", "3", "--stop-after", "1")
        os.mkdir(self.path("run", "report.html"))
        process = self.start("train", "--resume", "run")
        output, errors = process.communicate(timeout=300)
        self.assertEqual(process.returncode, 0, errors)
        self.assertRegex(errors, r"\Aalexnet: run/report\.html: found a directory[^\n]+; the run is complete, but without a report\n\Z")
        self.assertTrue(output.endswith("metrics.csv, run.json\n"))
        self.assertEqual(len(self.rows("run")), 3)

    def test_refusals(self):
        self.make_images(["cat", "dog"])
        self.run_tool(*self.FOLDER, "run", "--no-report")
        os.mkdir(self.path("empty"))
        write(self.path("file"), b"")
        shutil.copytree(self.path("run"), self.path("begun"))
        table = content(self.path("run", "metrics.csv"))
        write(self.path("begun", "metrics.csv"), table[:table.index(b"\n") + 1])
        shutil.copytree(self.path("run"), self.path("bad"))
        write(self.path("bad", "metrics.csv"), table + b"2,0.1,nonsense\n")
        before = {name: content(self.path("run", name)) for name in os.listdir(self.path("run"))}
        for arguments, expected in [
            ([], ["RUN"]),
            (["nowhere"], ["nowhere: found no run.json", "expected the folder of a run"]),
            (["empty"], ["empty: found no run.json"]),
            (["file"], ["file: found no run.json"]),
            (["begun"], ["begun/metrics.csv: found no finished epoch"]),
            (["bad"], ["bad/metrics.csv: line 3", "seven numbers"]),
            (["run", "nowhere"], ["nowhere: found no run.json"]),
            (["run", "--out", "empty"], ["empty: found a directory"]),
            (["run", "--out", "run/best.safetensors"], ["--out: found run/best.safetensors, expected another file than that of"]),
            (["run", "run", "--out", "./run/trainer.safetensors"], ["expected another file than that of the run in run"]),
            (["run", "--out", "no/such/report.html"], ["no/such/report.html: cannot create"]),
            (["run", "run", "--data-dir", "empty"], ["--data-dir"]),
            (["run", "--threads", "0"], ["--threads"]),
        ]:
            with self.subTest(arguments):
                message = self.refusal("report", *arguments)
                for piece in expected:
                    self.assertIn(piece, message)
        self.assertEqual({name: content(self.path("run", name)) for name in os.listdir(self.path("run"))}, before)
        self.assertEqual(sorted(os.listdir(self.folder)), ["bad", "begun", "empty", "file", "images", "run"])


class Runs(Report):
    def test_beside_each_other(self):
        self.run_tool(*SHORT, "--out", "a", "--no-report")
        self.run_tool(*SHORT, "--out", "b/c", "--no-report", "--epochs", "2", "--val-size", "400", "--optimizer", "adam", "--lr", "0.001")
        self.assertEqual(self.run_tool("report", "a", "b/c/"), "report in report.html\n")
        page = self.page("report.html")
        runs = {"a": self.rows("a"), "c": self.rows("b/c")}
        kinds = {"a": "test", "c": "validation"}
        charts = page.charts()
        self.assertEqual(list(charts), ["Loss", "Accuracy, %", "Test or validation accuracy by time, %", "Learning rate"])
        percent = "{:.2f} %".format
        for name, rows in runs.items():
            kind = kinds[name]
            for chart, series, said, column, times in [
                ("Loss", f"{name}, training", "{:.4f}".format, "train_loss", 1),
                ("Loss", f"{name}, {kind}", "{:.4f}".format, "eval_loss", 1),
                ("Accuracy, %", f"{name}, training", percent, "train_accuracy", 100),
                ("Accuracy, %", f"{name}, {kind}", percent, "eval_accuracy", 100),
                ("Learning rate", name, "{:.5g}".format, "lr", 1),
            ]:
                self.check_series(charts[chart], series, said, [times * row[column] for row in rows])
            by_time, minutes = charts["Test or validation accuracy by time, %"], 0
            for (x, y), row in zip(by_time.series[f"{name}, {kind}"], rows, strict=True):
                minutes += row["seconds"] / 60
                self.assertAlmostEqual(x, minutes, delta=by_time.error_x)
                self.assertAlmostEqual(y, 100 * row["eval_accuracy"], delta=by_time.error_y)
        for chart in "Loss", "Accuracy, %":
            self.assertEqual(charts[chart].legend, ["a, training", "a, test", "c, training", "c, validation"])
            self.assertEqual(charts[chart].dashed, {"a, training", "c, training"})

        figures, = self.tables(page.root.one("header"))
        for row, (name, rows) in zip(figures[1:], runs.items(), strict=True):
            best = max(rows, key=lambda r: r["eval_accuracy"])
            seconds = sum(r["seconds"] for r in rows)
            rate = sum(r["seconds"] * r["images_per_second"] for r in rows) / seconds
            self.assertAlmostEqual(float(row.pop(9)), rate, delta=0.51)
            self.assertEqual(row, [name, "SmallAlexNet", "387690", str(len(rows)), f"{best['epoch']:.0f}",
                                   percent(100 * best["eval_accuracy"]), f"{best['eval_loss']:.4f}", kinds[name],
                                   percent(100 * best["train_accuracy"]), duration(seconds)])
        best, = page.root.one("header").all("tr", "best")
        leader = max(runs, key=lambda name: max(row["eval_accuracy"] for row in runs[name]))
        self.assertEqual(best.one("th").text, leader)

        shown, = self.tables(page.section("settings"))
        self.assertEqual(shown[0], ["Setting", "a", "c"])
        a, c = self.settings("a", "b/c")
        differing = {key for key in a.keys() | c.keys() if a.get(key) != c.get(key)}
        self.assertLessEqual({"optimizer", "lr", "epochs", "val_size", "momentum"}, differing)
        self.assertEqual({row[0] for row in shown[1:]}, differing)
        for key, *values in shown[1:]:
            for value, settings in zip(values, (a, c)):
                self.assertTrue(value == "–" or self.assert_setting(value, settings[key]) is None, key)
                self.assertEqual(value == "–", settings.get(key, "–") == "–")

        for run, seconds in ("a", ["8.25", "8.25", "8"]), ("b/c", ["3599", "0.5"]):
            path = self.path(run, "metrics.csv")
            head, *lines = content(path).decode().splitlines()
            lines = [f"{line.rpartition(',')[0]},{time}" for line, time in zip(lines, seconds, strict=True)]
            write(path, "\n".join([head, *lines, ""]).encode())
        self.run_tool("report", "a", "b/c/")
        figures, = self.tables(self.page("report.html").root.one("header"))
        self.assertEqual([row[-1] for row in figures[1:]], ["0:25", "1:00:00"])

    def test_equal_names_and_equal_settings(self):
        self.make_images(["cat", "dog"])
        self.run_tool(*self.FOLDER, "x/run", "--no-report")
        shutil.copytree(self.path("x"), self.path("y"))
        runs = ["x/run", "y/run"]
        self.run_tool("report", *runs, "--out", "two.html")
        page = self.page("two.html")
        self.assertEqual(page.charts()["Learning rate"].legend, runs)
        self.assertIn("the same settings", page.section("settings").text)
        self.run_tool("report", *(["x/run", "y/run"] * 7), "--out", "many.html")  # more than there are colours and marks
        self.assertEqual(len(self.page("many.html").charts()), 4)


@unittest.skipIf(CHROMIUM is None, "chromium was not found (Debian: chromium): the pages were not drawn")
class Browser(Report):
    def draw(self, page, dark, width=1200, height=1200):
        """(console messages, pixels) of a page as a browser shows it."""
        process = subprocess.run(
            [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr",
             f"--user-data-dir={self.path('profile')}", f"--blink-settings=preferredColorScheme={0 if dark else 1}",
             f"--window-size={width},{height}", f"--screenshot={self.path('shot.png')}", "file://" + self.path(page)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
        self.assertEqual(process.returncode, 0, process.stdout)
        drawn = decode_png(content(self.path("shot.png")))
        self.assertEqual(drawn[:3], (height, width, 3))
        return [line for line in process.stdout.decode(errors="replace").splitlines() if "CONSOLE" in line], drawn[3]

    def test_pages_are_drawn_without_complaints(self):
        # A page that does complain shows that complaints are seen, and that the policy of the reports holds.
        self.run_tool(*SHORT, "--out", "run", "--epochs", "2")
        page = content(self.path("run", "report.html"))
        write(self.path("bad.html"), page.replace(b"<main>", b"<main><script>alert(1)</script><img src=http://localhost:1/x>"))
        messages, _ = self.draw("bad.html", dark=False, width=400, height=300)
        self.assertTrue(any("Content Security Policy" in message for message in messages), messages)

        shutil.copytree(self.path("run"), self.path("other"))
        self.run_tool("report", "run", "other", "--out", "two.html")
        for name in "run/report.html", "two.html":
            for dark, background in (False, b"\xff\xff\xff"), (True, b"\x15\x18\x1d"):
                messages, rows = self.draw(name, dark)
                self.assertEqual(messages, [])
                pixels = [bytes(row[x:x + 3]) for row in rows[::4] for x in range(0, 3600, 12)]
                self.assertEqual(pixels[0], background)
                share = pixels.count(background) / len(pixels)
                self.assertTrue(0.5 < share < 0.98, share)  # neither blank nor full
                self.assertGreater(len(set(pixels)), 40)  # lines, letters' edges; a page of text alone has greys

    def test_a_narrow_window(self):
        """Nothing reaches over the right margin: what is too wide scrolls in itself."""
        self.make_images(["cat", "dog"], test=20)
        self.run_tool(*self.FOLDER, "run")
        messages, rows = self.draw("run/report.html", dark=False, width=500, height=5000)
        self.assertEqual(messages, [])
        self.assertEqual({bytes(row[-24:]) for row in rows}, {b"\xff" * 24})


if __name__ == "__main__":
    unittest.main()
