"""An independent reader of the HTML that alexnet report writes."""

import base64
import html.parser
import re

from tensorboard import decode_png

VOID = {"meta", "img", "br"}


class Element:
    def __init__(self, tag, attributes, parent=None):
        self.tag, self.attributes, self.parent, self.children = tag, attributes, parent, []

    def __getitem__(self, name):
        return self.attributes[name]

    @property
    def classes(self):
        return (self.attributes.get("class") or "").split()

    def all(self, tag=None, name=None):
        """Elements within, in their order, of that tag and that class."""
        for child in self.children:
            if isinstance(child, Element):
                if (tag is None or child.tag == tag) and (name is None or name in child.classes):
                    yield child
                yield from child.all(tag, name)

    def one(self, tag, name=None):
        found, = self.all(tag, name)
        return found

    @property
    def text(self):
        """All text within; narrow spaces, which group digits, are left out."""
        return "".join(c if isinstance(c, str) else c.text for c in self.children).replace("\u202f", "")


class Page(html.parser.HTMLParser):
    """A page whose tags are balanced and whose ids are different ones."""

    def __init__(self, data):
        super().__init__()
        self.root = self.at = Element(None, {})
        self.feed(data.decode())
        self.close()
        assert self.at is self.root, f"<{self.at.tag}> is not closed"
        ids = [e["id"] for e in self.root.all() if "id" in e.attributes]
        assert len(ids) == len(set(ids)), ids

    def handle_starttag(self, tag, attributes):
        assert len(dict(attributes)) == len(attributes), f"<{tag}> has an attribute twice"
        element = Element(tag, dict(attributes), self.at)
        self.at.children.append(element)
        if tag not in VOID:
            self.at = element

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.at.tag == tag, f"</{tag}> closes <{self.at.tag}>"
        self.at = self.at.parent

    def handle_data(self, data):
        self.at.children.append(data)

    def section(self, name):
        """The section of that id, or None."""
        found = [e for e in self.root.all("section") if e["id"] == name]
        return found[0] if found else None

    def figures(self):
        """The figures at the page's head."""
        return {d.one("dt").text: d.one("dd").text for d in self.root.one("dl").all("div")}

    def charts(self):
        return {figure.one("figcaption").text: Chart(figure) for figure in self.root.all("figure", "chart")}


def table(element):
    """A table's cells as text, row by row; every column and every row has a heading."""
    rows = [[cell for cell in row.children if isinstance(cell, Element)] for row in element.all("tr")]
    assert len({len(row) for row in rows}) == 1, [len(row) for row in rows]
    for cell in rows[0]:
        assert cell.attributes.get("scope") == "col" or cell.text == "", cell.text
    for row in rows[1:]:
        assert row[0].attributes["scope"] == "row", row[0].text
    return [[cell.text for cell in row] for row in rows]


def picture(image):
    """(height, width, channels, rows of bytes) of an img element, which holds it and shows it enlarged evenly."""
    kind, data = image["src"].split(",")
    assert kind == "data:image/png;base64" and image["alt"]
    decoded = decode_png(base64.b64decode(data, validate=True))
    height, width = decoded[:2]
    assert int(image["width"]) % width == 0 and int(image["height"]) * width == int(image["width"]) * height
    return decoded


class Chart:
    """The series of a chart: name -> [(x, y)], read from where its marks are and from the numbers beside the axes, with
    the error that places of one decimal have."""

    def __init__(self, figure):
        svg = [svg for svg in figure.all("svg") if "swatch" not in svg.classes][0]
        scale_x = self.scale([t for t in svg.all("text", "tx") if "name" not in t.classes], svg.all("path", "axis"), r"M([\d.]+) \d+v5")
        scale_y = self.scale(svg.all("text", "ty"), svg.all("path", "grid"), r"M\d+ ([\d.]+)H\d+")
        self.legend = [item.text for item in figure.all("li")]
        self.series, self.said, self.best, self.dashed = {}, {}, {}, set()
        self.error_x, self.error_y = 0.2 * abs(scale_x(1) - scale_x(0)), 0.2 * abs(scale_y(1) - scale_y(0))
        for group in svg.all("g"):
            points = [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", group.one("path", "line")["d"])]
            marks, said = [], []
            for mark in group.all("path", "m"):
                x, y = map(float, re.fullmatch(r"translate\(([\d.]+) ([\d.]+)\)", mark["transform"]).groups())
                assert 0 <= x <= 560 and 0 <= y <= 286, "beyond the picture"
                marks.append((x, y))
                name, x_text, value = re.fullmatch(r"(.+), [a-z ]+ ([\d.]+): (.+)", mark.one("title").text).groups()
                said.append((float(x_text), value))
            assert points == marks, "the line does not go from mark to mark"
            self.series[name] = [(scale_x(x), scale_y(y)) for x, y in marks]
            self.said[name] = said
            self.best[name] = [i for i, (_, value) in enumerate(said) if value.endswith(" (best)")]
            rings = [(float(c["cx"]), float(c["cy"])) for c in group.all("circle", "ring")]
            assert rings == [marks[i] for i in self.best[name]]
            if "dashed" in group.one("path", "line").classes:
                self.dashed.add(name)

    @staticmethod
    def scale(labels, lines, pattern):
        """What turns places into values, from the labels beside an axis and the lines that they belong to."""
        places = [found for found in (re.fullmatch(pattern, line["d"]) for line in lines) if found]
        ticks = [(float(place[1]), float(label.text)) for place, label in zip(places, labels, strict=True)]
        (p, a), (q, b) = ticks[0], ticks[-1]
        for place, value in ticks:  # evenly spread; places have one decimal
            assert abs(a + (place - p) / (q - p) * (b - a) - value) <= 0.2 * abs((b - a) / (q - p)), ticks
        return lambda place: a + (place - p) / (q - p) * (b - a)
