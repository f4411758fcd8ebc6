"""How near a forward pass comes to where a derivative jumps."""

from torch import nn


class Kinks:
    """The least distance from a kink that a forward pass comes: |x| before ReLU, best minus second best in a pool. With
    `relative`, as a share of the root mean square of what the layer meets."""

    def __init__(self, net, relative=False):
        self.least, self.relative = float("inf"), relative
        for module in net.modules():
            if isinstance(module, nn.ReLU):
                module.register_forward_pre_hook(lambda _, x: self.meet(x[0].abs(), x[0]))
            if isinstance(module, nn.MaxPool2d):
                module.register_forward_pre_hook(self.pool)

    def meet(self, distances, x):
        scale = x.square().mean().sqrt().item() if self.relative else 1.0
        self.least = min(self.least, distances.min().item() / scale)

    def pool(self, module, x):
        padded = nn.functional.pad(x[0], [module.padding] * 4, value=-float("inf"))
        windows = padded.unfold(2, module.kernel_size, module.stride).unfold(3, module.kernel_size, module.stride)
        best = windows.flatten(4).topk(2).values
        self.meet((best[..., 0] - best[..., 1])[best[..., 0] > 0], x[0])  # zeros from ReLU tie, but pass no gradient
