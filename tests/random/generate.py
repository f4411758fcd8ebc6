"""Random networks that fit together, as types of ctnn; compare.py makes PyTorch's modules of the same description.

Any layer may follow any other. What is drawn is small, so that it compiles and runs quickly. Left out is what has nothing to
compare: a batch norm of fewer than 8 values a channel, or behind another with nothing but pools between, whose gradients cancel
to rounding; a dropout of so few elements that all may fall.
"""

import dataclasses
import random

WORK, ELEMENTS = 3_000_000, 30_000  # at most, of a convolution's multiply-adds and a map's numbers for the whole batch


@dataclasses.dataclass
class Layer:
    kind: str  # its name in both languages
    type: str  # in C++
    arguments: dict  # of PyTorch's module
    shape: tuple  # (channels, height, width) that it meets, in front of Flatten where it meets a vector
    marks: tuple = ()  # what to count besides the kind


@dataclasses.dataclass
class Network:
    seed: int
    batch: int
    input: tuple
    tree: list = None  # of layers and of pairs (name of a block, tree)

    @property
    def layers(self):
        return list(walk(self.tree))

    @property
    def type(self):
        return f"Sequential<Input<{', '.join(map(str, self.input))}>, {types(self.tree)}>"


def walk(tree):
    for item in tree:
        if isinstance(item, Layer):
            yield item
        else:
            yield from walk(item[1])


def types(tree):
    return ", ".join(item.type if isinstance(item, Layer) else f'Block<"{item[0]}", {types(item[1])}>' for item in tree)


def option(name, pair):
    return f"{name}<{pair[0]}>" if pair[0] == pair[1] else f"{name}<{pair[0]}, {pair[1]}>"


class Drawing:
    """A network in the making. A method named after a layer draws one, and returns None where it came out unfit."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.batch = self.random.choice([1, 2, 3, 4, 5, 9, 18])
        self.shape = (self.random.choice([1, 2, 3, 3, 4, 6, 8, 17]), *self.pair(lambda: self.random.randint(5, 17)))
        self.net = Network(seed, self.batch, self.shape)
        self.layers, self.features, self.normed = [], None, False

    def chance(self, p):
        return self.random.random() < p

    def pair(self, draw):
        one = draw()
        return (one, one) if self.chance(0.6) else (one, draw())

    def add(self, layer, shape=None):
        if layer:
            self.layers.append(layer)
            self.shape = shape or self.shape
        return layer

    def layer(self, kind, options=(), marks=(), **arguments):
        type = kind + (f"<{', '.join(map(str, options))}>" if options or kind.endswith("2d") else "")
        return Layer(kind, type, arguments, self.shape, marks)

    def window(self, kernel, stride, padding, channels):
        """The options, arguments and output shape of a window; no shape where it does not fit."""
        options = [option("Kernel", kernel)]
        options += [option("Stride", stride)] if stride else []
        options += [option("Padding", padding)] if any(padding) else []
        sizes = [(n + 2 * p - k) // s + 1 for n, k, s, p in zip(self.shape[1:], kernel, stride or kernel, padding)]
        fits = min(sizes) >= 1 and channels * sizes[0] * sizes[1] * self.batch <= ELEMENTS
        return options, {"kernel_size": kernel, "stride": stride or kernel, "padding": padding}, fits and (channels, *sizes)

    def Conv2d(self):
        r, meets = self.random, self.shape[0]
        groups = r.choice([n for n in range(1, meets + 1) if meets % n == 0]) if self.chance(0.35) else 1
        channels = groups * r.choice([2, 3, 4, 5, 8, 11, 16, 17, 20, 32] if groups == 1 else [1, 2, 3, 4])
        winograd = groups == 1 and self.chance(0.35)
        kernel = self.pair(lambda: r.choice([1, 1, 2, 3, 3, 3, 4, 5, 5, 7]))
        kernel = (r.choice([3, 5]),) * 2 if winograd else kernel
        stride = (1, 1) if winograd else self.pair(lambda: r.choice([1, 1, 1, 2, 3]))
        padding = self.pair(lambda: r.choice([0, kernel[0] // 2, kernel[0] // 2, r.randint(0, kernel[0])]))
        options, arguments, shape = self.window(kernel, stride, padding, channels)
        taps = meets // groups * kernel[0] * kernel[1]
        if not shape or shape[0] * shape[1] * shape[2] * self.batch * taps > WORK:
            return None
        options = [channels, *options] + [f"Groups<{groups}>"] * (groups > 1) + ["Winograd"] * winograd
        bias = self.chance(0.75)
        options += [] if bias else ["Bias<false>"]
        self.normed = False
        marks = ("with groups",) * (groups > 1) + ("Winograd",) * winograd
        return self.add(self.layer("Conv2d", options, marks, in_channels=meets, out_channels=channels, groups=groups,
                                   bias=bias, **arguments), shape)

    def pool(self, kind, extra=(), **more):
        r = self.random
        kernel = self.pair(lambda: r.choice([1, 2, 2, 3, 3, 4]))
        stride = self.pair(lambda: r.choice([1, 2, 2, 3])) if self.chance(0.6) else None
        padding = tuple(r.randint(0, k // 2) if self.chance(0.5) else 0 for k in kernel)
        options, arguments, shape = self.window(kernel, stride, padding, self.shape[0])
        overlap = any(s < k for k, s in zip(kernel, stride or kernel))
        return shape and self.add(self.layer(kind, options + list(extra), ("overlapping",) * overlap, **arguments, **more), shape)

    def MaxPool2d(self):
        return self.pool("MaxPool2d")

    def AvgPool2d(self):
        count = self.chance(0.5)
        return self.pool("AvgPool2d", [] if count else ["CountIncludePad<false>"], count_include_pad=count)

    def AdaptiveAvgPool2d(self):
        size = self.pair(lambda: self.random.randint(1, 4))
        return self.add(self.layer("AdaptiveAvgPool2d", size, output_size=size), (self.shape[0], *size))

    def BatchNorm2d(self):
        if self.normed or self.batch * self.shape[1] * self.shape[2] < 8:
            return None
        self.normed = True
        eps = self.random.choice([1e-5, 1e-3])
        return self.add(self.layer("BatchNorm2d", [f"Eps<{eps}>"] if eps != 1e-5 else [], num_features=self.shape[0], eps=eps))

    def LocalResponseNorm(self):
        size, alpha, beta, k = (self.random.choice(values) for values in [range(1, 7), [1e-4, 0.5, 1.0], [0.5, 0.75, 1.0], [1.0, 2.0]])
        return self.add(self.layer("LocalResponseNorm", [size, f"Alpha<{alpha}>", f"Beta<{beta}>", f"K<{k}>"], size=size,
                                   alpha=alpha, beta=beta, k=k))

    def drop(self, kind, count):
        p = self.random.choice([0.1, 0.25, 0.5])
        return self.add(self.layer(kind, [p], p=p)) if count * self.batch >= 16 else None

    def Dropout(self):
        return self.drop("Dropout", self.features or self.shape[0] * self.shape[1] * self.shape[2])

    def Dropout2d(self):
        return self.drop("Dropout2d", self.shape[0])

    def activation(self):
        return self.add(self.layer(self.random.choice(["ReLU", "ReLU", "ReLU", "Sigmoid", "Tanh"])))

    def Linear(self):
        meets = self.features or self.shape[0] * self.shape[1] * self.shape[2]
        self.features = self.random.choice([3, 4, 5, 7, 10, 16, 19, 33])
        bias = self.chance(0.8)
        options = [self.features] if bias else [self.features, "Bias<false>"]
        return self.add(self.layer("Linear", options, in_features=meets, out_features=self.features, bias=bias),
                        (self.features, 1, 1))

    def head(self):
        """Some layers on a vector."""
        self.add(self.layer("Flatten"))
        for draw in [self.activation, self.Dropout, self.Linear, self.activation, self.Dropout, self.Linear]:
            if draw != self.Linear and self.chance(0.4):
                draw()
            elif draw == self.Linear and (self.features is None or self.chance(0.5)):
                draw()

    def nest(self, layers, names):
        """Some of the layers in a block, and some of those in another."""
        if not names or len(layers) < 2 or self.chance(0.5):
            return layers
        begin, end = sorted(self.random.sample(range(len(layers) + 1), 2))
        return [*layers[:begin], (names[0], self.nest(layers[begin:end], names[1:])), *layers[end:]]


def draw(seed):
    """The network of a seed."""
    d = Drawing(seed)
    kinds = {d.Conv2d: 6, d.activation: 5, d.MaxPool2d: 3, d.BatchNorm2d: 2, d.LocalResponseNorm: 1, d.AvgPool2d: 1,
             d.AdaptiveAvgPool2d: 0.5, d.Dropout: 1, d.Dropout2d: 0.7}
    count = d.random.randint(2, 7)
    while len(d.layers) < count:
        d.random.choices(list(kinds), list(kinds.values()))[0]()
    if d.chance(0.7) or not any(layer.kind == "Conv2d" for layer in d.layers):
        d.head()
    d.net.tree = d.nest(d.layers, ["features", "inner"])
    return d.net


def sources(networks, together=4):
    """The program that checks the networks: a dict of file name → text, with some networks in each file."""
    files, calls = {}, []
    for first in range(0, len(networks), together):
        some = networks[first:first + together]
        structs = "".join(f"struct Net{n.seed} : {n.type} {{}};\n" for n in some)
        cases = "".join(f"        case {n.seed}: random_networks::check<Net{n.seed}>({n.seed}, {n.batch}, folder); return true;\n"
                        for n in some)
        calls.append(f"part{first}")
        files[f"part{first}.cpp"] = (
            '#include "random/check.hpp"\n\nnamespace {\nusing namespace ctnn;\n' + structs + "}  // namespace\n\n"
            f"bool part{first}(unsigned long long seed, const char* folder) {{\n    switch (seed) {{\n{cases}"
            "        default: return false;\n    }\n}\n")
    files["main.cpp"] = ("#include <cstdlib>\n\n"
                         + "".join(f"bool {call}(unsigned long long seed, const char* folder);\n" for call in calls)
                         + "\nint main(int, char** argv) {\n    const auto seed = std::strtoull(argv[1], nullptr, 10);\n"
                         "    return " + " || ".join(f"{call}(seed, argv[2])" for call in calls) + " ? 0 : 1;\n}\n")
    return files
