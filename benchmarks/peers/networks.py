"""The AlexNet family in PyTorch, for what is measured and checked against it."""

import collections

from torch import nn

# build(dropout) makes the network, `dropout` replacing every layer's rate unless it is None.
Network = collections.namedtuple("Network", "build image parameters")


def small_alexnet(dropout=None):
    def block(inputs, outputs, kernel, *tail):
        conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
        return [conv, nn.BatchNorm2d(outputs), nn.ReLU(), *tail]

    on_maps, on_features = (0.1, 0.5) if dropout is None else (dropout, dropout)
    return nn.Sequential(
        *block(3, 32, 5, nn.MaxPool2d(2, 2)),
        *block(32, 64, 5, nn.MaxPool2d(2, 2)),
        *block(64, 128, 3, nn.Dropout2d(on_maps)),
        *block(128, 128, 3, nn.Dropout2d(on_maps)),
        *block(128, 96, 3, nn.MaxPool2d(2, 2)),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(on_features), nn.Linear(96, 10))


def classifier(features, dropout, classes, first):
    """Two hidden linear layers of 4096; dropout in front of them or behind."""
    drop = lambda: nn.Dropout(0.5 if dropout is None else dropout)
    if first:
        return [drop(), nn.Linear(features, 4096), nn.ReLU(), drop(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, classes)]
    return [nn.Linear(features, 4096), nn.ReLU(), drop(), nn.Linear(4096, 4096), nn.ReLU(), drop(), nn.Linear(4096, classes)]


def convolutions(first_padding=0, groups=1, norm=lambda channels: [], response=lambda: [], last_pool_padding=0):
    """The five convolutions with 96 to 384 channels; norms in front of ReLU, response norms behind."""
    return [
        nn.Conv2d(3, 96, 11, stride=4, padding=first_padding), *norm(96), nn.ReLU(), *response(), nn.MaxPool2d(3, 2),
        nn.Conv2d(96, 256, 5, padding=2, groups=groups), *norm(256), nn.ReLU(), *response(), nn.MaxPool2d(3, 2),
        nn.Conv2d(256, 384, 3, padding=1), *norm(384), nn.ReLU(),
        nn.Conv2d(384, 384, 3, padding=1, groups=groups), *norm(384), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1, groups=groups), *norm(256), nn.ReLU(),
        nn.MaxPool2d(3, 2, padding=last_pool_padding), nn.Flatten()]


def response_norm(alpha):
    return lambda: [nn.LocalResponseNorm(5, alpha=alpha, beta=0.75, k=2.0)]


def alexnet32(dropout=None):
    return nn.Sequential(*convolutions(first_padding=2, last_pool_padding=1), *classifier(256, dropout, 10, first=False))


def alexnet(dropout=None):
    # The paper does not divide alpha by the size, PyTorch does.
    return nn.Sequential(*convolutions(groups=2, response=response_norm(5e-4)), *classifier(9216, dropout, 1000, first=False))


def alexnet_lrn(dropout=None):
    return nn.Sequential(*convolutions(response=response_norm(1e-4)), *classifier(9216, dropout, 10, first=True))


def alexnet_wide(dropout=None):
    return nn.Sequential(*convolutions(), *classifier(6400, dropout, 10, first=False))


def alexnet_bn(dropout=None):
    norm = lambda channels: [nn.BatchNorm2d(channels, eps=1e-5, momentum=0.01)]
    return nn.Sequential(*convolutions(norm=norm), *classifier(6400, dropout, 10, first=False))


def alexnet_one_tower(dropout=None):
    """torchvision's alexnet."""
    features = nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2))
    net = nn.Sequential()
    net.add_module("features", features)
    net.add_module("avgpool", nn.AdaptiveAvgPool2d(6))
    net.add_module("flatten", nn.Flatten())
    net.add_module("classifier", nn.Sequential(*classifier(9216, dropout, 1000, first=True)))
    return net


NETWORKS = {
    "SmallAlexNet": Network(small_alexnet, 32, 387_690),
    "AlexNet32": Network(alexnet32, 32, 21_622_154),
    "AlexNetLrn": Network(alexnet_lrn, 227, 58_322_314),
    "AlexNetBn": Network(alexnet_bn, 224, 46_790_730),
    "AlexNetWide": Network(alexnet_wide, 224, 46_787_978),
    "AlexNet": Network(alexnet, 227, 60_965_224),
    "AlexNetOneTower": Network(alexnet_one_tower, 224, 61_100_840),
}
