"""The networks of generate.py as PyTorch's modules: what they get to compute, and what must come out of it.

PyTorch computes in double from the same floats, so that the error is ctnn's alone: logits in evaluation and training mode,
running statistics and every gradient agree to 1e-4 of the tensor's largest number, as in pytorch/check.py, or of the largest
gradient where a tensor's own sums cancel, as those of a bias in front of batch norm. Weights and inputs are drawn so that no
ReLU and no max pool stands near a kink, where rounding decides. Dropouts multiply by masks that are computed here again.
"""

import os

import numpy
import torch
from torch import nn

from check import KINK, TOLERANCE, randomize
from generate import Layer
from kinks import Kinks
from safetensors import save_file

CANCELS = 1e-9  # of the largest gradient, in double: the rest of a sum that is 0


def philox(seed, counter):
    """Philox4x32-10 for counters in four rows (Salmon and others, 2011), in a stream of ctnn's for dropout."""
    key = [seed & 0xFFFFFFFF, seed >> 32 ^ 4 << 24]
    low = numpy.uint64(0xFFFFFFFF)
    c = [numpy.uint64(n) + numpy.zeros(counter[0].shape, numpy.uint64) for n in counter]
    for _ in range(10):
        a, b = numpy.uint64(0xD2511F53) * c[0], numpy.uint64(0xCD9E8D57) * c[2]
        high = numpy.uint64(32)
        c = [b >> high ^ c[1] ^ numpy.uint64(key[0]), b & low, a >> high ^ c[3] ^ numpy.uint64(key[1]), a & low]
        key = [key[0] + 0x9E3779B9 & 0xFFFFFFFF, key[1] + 0xBB67AE85 & 0xFFFFFFFF]
    return numpy.stack(c, 1).reshape(-1)


class Dropped(nn.Module):
    """Dropout by ctnn's numbers: word i of stream (seed; epoch 0 and sample; layer) for element i of a sample in
    [row][column][channel], or for channel i."""

    def __init__(self, layer, index, seed, batch):
        super().__init__()
        c, h, w = layer.shape if layer.kind == "Dropout" else (layer.shape[0], 1, 1)
        blocks = numpy.arange((c * h * w + 3) // 4, dtype=numpy.uint64)
        words = numpy.stack([philox(seed, (blocks, index, sample, 0))[:c * h * w] for sample in range(batch)])
        p = layer.arguments["p"]
        kept = torch.from_numpy(words >= int(p * 2**32)).reshape(batch, h, w, c).permute(0, 3, 1, 2)
        self.factors = kept.double() / (1 - p)

    def forward(self, x):
        if not self.training:
            return x
        return x * (self.factors if x.dim() == 4 else self.factors.flatten(1))


def module(network):
    indices = iter(range(len(network.layers)))

    def build(tree):
        net = nn.Sequential()
        for place, item in enumerate(tree):
            if not isinstance(item, Layer):
                net.add_module(item[0], build(item[1]))
            elif item.kind.startswith("Dropout"):
                net.add_module(str(place), Dropped(item, next(indices), network.seed, network.batch))
            else:
                next(indices)
                net.add_module(str(place), getattr(nn, item.kind)(**item.arguments))
        return net

    return build(network.tree).double()


def channels_last(x):
    return x.float().permute(0, 2, 3, 1) if x.dim() == 4 else x.float()


class Expected:
    """Draws weights and a batch and writes them into a folder; what PyTorch makes of them."""

    def __init__(self, network, folder):
        torch.manual_seed(network.seed)
        net = module(network)
        kinks = Kinks(net, relative=True)
        # Winograd's filtering rounds ten times as much.
        near = KINK * (10 if any("Winograd" in layer.marks for layer in network.layers) else 1)
        for _ in range(1000):
            randomize(net)
            net.float().double()
            state = {key: t.float() if t.is_floating_point() else t.clone() for key, t in net.state_dict().items()}
            x = torch.randn(network.batch, *network.input).double().requires_grad_()
            kinks.least = float("inf")
            with torch.no_grad():
                evaluated = net.eval()(x)
            kinks.least = float("inf")
            output = net.train()(x)
            coefficients = torch.randn(output.shape).double()
            net.zero_grad()
            (output * coefficients).sum().backward()
            self.gradients = {f"gradient.{key}": p.grad for key, p in net.named_parameters()}
            self.gradients["gradient of input"] = x.grad
            self.largest = max(g.abs().max().item() for g in self.gradients.values())
            if kinks.least > near and self.largest > 1e-6:
                break
        else:
            raise RuntimeError(f"all draws come near a kink, the last one to {kinks.least:.1e}")
        self.tensors = {"evaluated": evaluated, "alone": evaluated[:1], "output": output, **self.gradients}
        self.tensors.update((f"after.{key}", t) for key, t in net.state_dict().items() if "running" in key or "tracked" in key)
        path = lambda what: os.path.join(folder, f"{network.seed}_{what}.safetensors")
        save_file(state, path("weights"))
        save_file({"input": channels_last(x), "coefficients": channels_last(coefficients)}, path("batch"))

    def compare(self, found):
        """Yields (name, error as a share of the tensor's largest number) of each tensor."""
        if found.keys() != self.tensors.keys():
            raise RuntimeError(f"tensors {sorted(found.keys() ^ self.tensors.keys())} are in one of the two alone")
        for key, expected in self.tensors.items():
            there = found[key]
            if there.dim() == 4 and not key.startswith("gradient."):
                there = there.permute(0, 3, 1, 2)
            scale = expected.abs().max().item()
            if key in self.gradients and scale <= CANCELS * self.largest:
                scale = self.largest
            # A network that gives zeros, such as by a ReLU at its end, must do so here.
            yield key, (there.reshape(expected.shape) - expected).abs().max().item() / (scale or 1.0)
