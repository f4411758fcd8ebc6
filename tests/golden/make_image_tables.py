#!/usr/bin/env python3
"""Prints the tables in unit/test_transforms.cpp: what PIL makes of small pictures, and Python's colorsys of their hues.

Needs Debian's python3-pil (9.4), python3-numpy and python3-torch (1.13), whose own antialiased interpolation is printed
beside PIL's, as the largest difference. It rounds once where PIL rounds rows and columns, so that they differ by less
than 1.
"""

import colorsys

import numpy
import torch
from PIL import Image, ImageEnhance

TURNS = (-0.4, 0.1, 1 / 3)


def picture(height, width, channels):
    y, x, c = numpy.mgrid[0:height, 0:width, 0:channels]
    return ((x * 37 + y * 91 + c * 53 + x * y * 7) % 256).astype(numpy.uint8)


def resized(height, width, out_height, out_width):
    grey = picture(height, width, 1)[:, :, 0]
    out = numpy.asarray(Image.fromarray(grey).resize((out_width, out_height), Image.BILINEAR))
    other = torch.nn.functional.interpolate(torch.tensor(grey)[None, None].double(), (out_height, out_width),
                                            mode="bilinear", antialias=True)[0, 0].numpy()
    return out, numpy.abs(out - other).max()


def fnv1a(array):
    value = 0xCBF29CE484222325
    for byte in array.tobytes():
        value = ((value ^ byte) * 0x100000001B3) % 2**64
    return value


def row(array):
    return ", ".join(str(int(value)) for value in array.flatten())


def planes(image):
    return row(numpy.asarray(image).transpose(2, 0, 1))


for sizes in (5, 6, 3, 4), (4, 5, 7, 6), (12, 10, 3, 3), (3, 4, 3, 9), (1, 1, 2, 3):
    out, difference = resized(*sizes)
    print(f"{{{row(numpy.array(sizes))}, {{{row(out)}}}}},  // {difference:.2f} from torch")
for sizes in (32, 32, 227, 224), (227, 224, 32, 48), (100, 140, 64, 64):
    out, difference = resized(*sizes)
    print(f"{{{row(numpy.array(sizes))}, 0x{fnv1a(out):016X}u}},  // {difference:.2f} from torch")

rgb = picture(2, 3, 3)
for kind in ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color:
    for factor in 0.3, 1.6:
        print(f"{kind.__name__} {factor}: {planes(kind(Image.fromarray(rgb)).enhance(factor))}")
for turn in TURNS:
    turned = numpy.zeros_like(rgb)
    for place in numpy.ndindex(2, 3):
        hue, saturation, value = colorsys.rgb_to_hsv(*(rgb[place] / 255.0))
        turned[place] = [round(255 * v) for v in colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value)]
    print(f"hue {turn}: {planes(turned)}")
