"""How near a forward pass comes to where a derivative jumps."""

from torch import nn


def pair(n):
    return n if isinstance(n, tuple) else (n, n)


class Kinks:
    """The least distance from a kink that a forward pass comes: |x| before ReLU, best minus second best in a pool. With
    `relative`, as a share of the root mean square of what the layer meets. Ties do not count, for they are no accident: zeros
    of a ReLU, which pass no gradient, or one pixel seen twice."""

    def __init__(self, net, relative=False):
        self.least, self.relative = float("inf"), relative
        for module in net.modules():
            if isinstance(module, nn.ReLU):
                module.register_forward_pre_hook(lambda _, x: self.meet(x[0].abs(), x[0]))
            if isinstance(module, nn.MaxPool2d):
                module.register_forward_pre_hook(self.pool)

    def meet(self, distances, x):
        scale = x.square().mean().sqrt().item() if self.relative else 1.0
        apart = distances[distances > 1e-12 * scale]
        if len(apart) > 0:
            self.least = min(self.least, apart.min().item() / scale)

    def pool(self, module, x):
        (kh, kw), (sh, sw), (ph, pw) = pair(module.kernel_size), pair(module.stride), pair(module.padding)
        padded = nn.functional.pad(x[0], [pw, pw, ph, ph], value=-float("inf"))
        windows = padded.unfold(2, kh, sh).unfold(3, kw, sw).flatten(4)
        best = windows.topk(min(2, kh * kw)).values
        self.meet(best[..., 0] - best[..., -1], x[0])
