#!/usr/bin/env python3
"""Trains a network on CIFAR-10 in PyTorch by the default recipe of `alexnet train`, for its accuracy beside ours.

    benchmarks/peers/pytorch_train.py --data-dir DIR [--network SmallAlexNet] [--epochs 10]

The recipe: batches of 128, SGD with Nesterov momentum 0.9, a rate that rises for two epochs to 0.1 and falls linearly to 0,
weight decay 5e-4 on weights of two and more dimensions, label smoothing 0.1, crops out of a border of four zeros, and flips.
DIR holds data_batch_1.bin to data_batch_5.bin and test_batch.bin of the binary version.
"""

import argparse
import pathlib
import sys
import time

try:
    import numpy
    import torch
    from torch import nn

    from networks import NETWORKS
except ImportError:
    print("skipped: PyTorch was not found (Debian: python3-torch, for /usr/bin/python3)")
    sys.exit(0)

RECORD = 1 + 3 * 32 * 32
BORDER = 4


def read(directory, names):
    """Images as bytes, n x 3 x 32 x 32, and labels."""
    records = numpy.concatenate([numpy.fromfile(pathlib.Path(directory) / f"{name}.bin", numpy.uint8) for name in names])
    records = torch.from_numpy(records.reshape(-1, RECORD))
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].long()


def augmented(images):
    """Every image cut anew out of a border of zeros, half of them mirrored."""
    count, _, size, _ = images.shape
    bordered = nn.functional.pad(images, (BORDER,) * 4)
    shifts = torch.randint(0, 2 * BORDER + 1, (2, count, 1))
    rows, columns = shifts + torch.arange(size)
    columns = torch.where(torch.rand(count, 1) < 0.5, columns.flip(1), columns)
    samples = torch.arange(count)[:, None, None]
    return bordered.permute(0, 2, 3, 1)[samples, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


def evaluate(net, images, labels):
    """Mean loss and accuracy."""
    net.eval()
    with torch.inference_mode():
        logits = torch.cat([net(batch) for batch in images.split(1000)])
    return nn.functional.cross_entropy(logits, labels).item(), (logits.argmax(1) == labels).float().mean().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--network", choices=NETWORKS, default="SmallAlexNet")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=42)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)

    images, labels = read(options.data_dir, [f"data_batch_{k}" for k in range(1, 6)])
    test_images, test_labels = read(options.data_dir, ["test_batch"])
    scaled = images.float() / 255
    mean, std = scaled.mean((0, 2, 3))[:, None, None], scaled.std((0, 2, 3))[:, None, None]
    images, test_images = (scaled - mean) / std, (test_images.float() / 255 - mean) / std
    del scaled

    net = NETWORKS[options.network].build()
    weights = [p for p in net.parameters() if p.dim() > 1]
    others = [p for p in net.parameters() if p.dim() == 1]
    optimizer = torch.optim.SGD([{"params": weights, "weight_decay": 5e-4}, {"params": others}], 0.1, momentum=0.9, nesterov=True)
    steps = -(-len(images) // 128)
    warmup, total = 2 * steps, options.epochs * steps
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: step / warmup if step < warmup else (total - step) / (total - warmup))
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.1)

    print(f"PyTorch {torch.__version__}, {options.network}, {options.threads} threads")
    print("epoch  train loss  test loss  test acc    time")
    for epoch in range(1, options.epochs + 1):
        start, sum_of_losses = time.perf_counter(), 0.0
        net.train()
        for batch in torch.randperm(len(images)).split(128):
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(net(augmented(images[batch])), labels[batch])
            loss.backward()
            optimizer.step()
            schedule.step()
            sum_of_losses += loss.item() * len(batch)
        seconds = time.perf_counter() - start
        test_loss, accuracy = evaluate(net, test_images, test_labels)
        print(f"{epoch:5}  {sum_of_losses / len(images):10.4f}  {test_loss:9.4f}  {100 * accuracy:6.2f} %  {seconds:4.0f} s", flush=True)


if __name__ == "__main__":
    main()
