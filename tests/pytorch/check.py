"""Compares a network with PyTorch: python3 check.py PROGRAM NETWORK. Skipped, with status 77, where PyTorch is missing.

Both get the same weights, images and labels. Logits in evaluation and training mode and every parameter's gradient must
agree to 1e-4 of the tensor's largest number; rounding, of sums of up to some thousand floats, is a hundredth of that.
What ctnn then saves must load into PyTorch, with the same bits. AlexNetOneTower is also given a picture, as torchvision's
alexnet is: the shorter side is 256 pixels, of which the middle 224 are taken and normalised by ImageNet's statistics.
The images are drawn so that no ReLU and no max pool stands so near a kink that rounding decides it: one that flips moves
a whole pixel's gradient. Dropout has probability 0.
"""

import copy
import os
import subprocess
import sys
import tempfile

try:
    import torch
    from torch import nn
except ImportError:
    print("skipped: PyTorch was not found (Debian: python3-torch, for /usr/bin/python3)")
    sys.exit(77)

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "golden"), os.path.join(HERE, "..", "..", "benchmarks", "peers")]
import networks  # noqa: E402
from kinks import Kinks  # noqa: E402
from safetensors import load_file, save_file  # noqa: E402

TOLERANCE, KINK = 1e-4, 4e-6


def randomize(net):
    """Parameters whose activations and gradients stay near 1 through all layers, unlike those of N(0, 0.01)."""
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.normal_(module.bias, 0, 0.1)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
            module.running_mean.normal_(0, 0.5)
            module.running_var.uniform_(0.5, 1.5)


def draw_images(name, net, size):
    """The first images far enough from every kink, seen in double."""
    exact = copy.deepcopy(net).double()
    kinks = Kinks(exact, relative=True)
    for _ in range(200):
        images = torch.randn(1 if size > 32 else 3, 3, size, size)  # more pixels come nearer to kinks
        kinks.least = float("inf")
        with torch.no_grad():
            exact(images.double())
        if kinks.least > KINK:
            return images
    sys.exit(f"{name}: all images come near a kink")


def cancelling(net):
    """Biases in front of batch norm: their gradients are sums that cancel to nothing but rounding."""
    names = [name for name, _ in net.named_parameters()]
    modules = list(net.named_modules())
    before = {name for (name, m), (_, next) in zip(modules, modules[1:])
              if isinstance(m, nn.Conv2d) and isinstance(next, nn.BatchNorm2d)}
    return {name for name in names if name.rpartition(".")[0] in before and name.endswith(".bias")}


def preprocessed(picture):
    """What torchvision's Resize(256), CenterCrop(224), ToTensor and Normalize make of a picture of shorter side 256."""
    _, height, width = picture.shape
    top, left = (height - 224) // 2, (width - 224) // 2
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = picture[:, top:top + 224, left:left + 224] / 255
    return ((pixels - mean[:, None, None]) / std[:, None, None])[None]


def main():
    program, name = sys.argv[1:]
    network = networks.NETWORKS[name]
    torch.manual_seed(7)
    net = network.build(dropout=0.0)
    randomize(net)
    images = draw_images(name, net, network.image)
    labels = torch.randint(10, (len(images),))
    assert sum(p.numel() for p in net.parameters()) == network.parameters
    picture = torch.randint(256, (3, 300, 256), dtype=torch.uint8) if name == "AlexNetOneTower" else None
    with tempfile.TemporaryDirectory() as folder:
        path = lambda file: os.path.join(folder, file)
        save_file(net.state_dict(), path("weights.safetensors"))
        save_file({"images": images.permute(0, 2, 3, 1), "labels": labels.int()}, path("batch.safetensors"))
        if picture is not None:
            save_file({"picture": picture}, path("picture.safetensors"))
        subprocess.run([program, name, folder], check=True)
        found = load_file(path("result.safetensors"))
        if picture is not None:
            found |= load_file(path("pictured.safetensors"))
        again = network.build()
        again.load_state_dict(load_file(path("back.safetensors")))

    for (key, there), back in zip(net.state_dict().items(), again.state_dict().values()):
        assert torch.equal(there, back), f"{key}: not what it was after a way through ctnn"
    net.eval()
    with torch.no_grad():
        expected = {"evaluated": net(images)}
        if picture is not None:
            expected["pictured"] = net(preprocessed(picture))
    net.train()
    expected["logits"] = net(images)
    nn.functional.cross_entropy(expected["logits"], labels).backward()
    gradients = {f"gradient.{key}": p.grad for key, p in net.named_parameters()}
    expected.update(gradients)
    largest = max(g.abs().max().item() for g in gradients.values())
    small = {f"gradient.{key}" for key in cancelling(net)}

    assert found.keys() == expected.keys(), found.keys() ^ expected.keys()
    worst = 0.0
    for key, tensor in expected.items():
        scale = largest if key in small else tensor.abs().max().item()
        assert scale > 1e-6, f"{key}: nothing to compare, its largest number is {scale}"
        error = (found[key] - tensor).abs().max().item() / scale
        assert error <= TOLERANCE, f"{key}: an error of {error:.1e} of its largest number, expected at most {TOLERANCE}"
        worst = max(worst, error)
    print(f"{name}: {len(expected)} tensors, the largest error {worst:.1e} of a tensor's largest number")


if __name__ == "__main__":
    main()
