#!/usr/bin/env python3
"""The networks and training step of `ctnn_bench steps` in PyTorch, measured here or on request of compare.py.

A training step is zero_grad, forward, cross-entropy with label smoothing 0.1, backward, and SGD with Nesterov momentum
0.9 and weight decay 5e-4; inference runs in eval mode under torch.inference_mode.
"""

import argparse
import resource
import sys
import time

try:
    import torch
    from torch import nn

    from networks import NETWORKS
except ImportError:
    print("skipped: PyTorch was not found (Debian: python3-torch, for /usr/bin/python3)")
    sys.exit(0)

PASSES = ("train", "infer", "infer_one")
FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


class Steps:
    """One network in one memory format, with a batch of random images."""

    def __init__(self, network, memory_format, batch):
        torch.manual_seed(1)
        self.net = NETWORKS[network].build().to(memory_format=FORMATS[memory_format])
        assert sum(p.numel() for p in self.net.parameters()) == NETWORKS[network].parameters
        size = NETWORKS[network].image
        self.images = torch.randn(batch, 3, size, size).to(memory_format=FORMATS[memory_format])
        self.one = self.images[:1].clone(memory_format=FORMATS[memory_format])
        self.labels = torch.randint(0, 10, (batch,))
        self.loss = nn.CrossEntropyLoss(label_smoothing=0.1)
        self.optimizer = torch.optim.SGD(self.net.parameters(), 0.001, momentum=0.9, nesterov=True, weight_decay=5e-4)

    def run(self, what):
        """Runs one pass; its time in milliseconds."""
        self.net.train(what == "train")
        start = time.perf_counter()
        if what == "train":
            self.optimizer.zero_grad(set_to_none=True)
            self.loss(self.net(self.images), self.labels).backward()
            self.optimizer.step()
        else:
            with torch.inference_mode():
                self.net(self.images if what == "infer" else self.one)
        return 1e3 * (time.perf_counter() - start)


def serve(steps):
    """Answers every line "<pass> <count>" with the times of that many runs in milliseconds."""
    print(f"ready PyTorch {torch.__version__}", flush=True)
    for line in sys.stdin:
        what, count = line.split()
        print(*(f"{steps.run(what):.6f}" for _ in range(int(count))), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=NETWORKS, help="only this one")
    parser.add_argument("--format", choices=FORMATS, help="only this memory format")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each figure")
    parser.add_argument("--steps", type=int, help="only so many training steps, and the memory that the process took")
    parser.add_argument("--serve", action="store_true", help="time what standard input asks for")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if (options.serve or options.steps) and not (options.network and options.format):
        parser.error("--serve and --steps need --network and --format")
    if options.steps:
        steps = Steps(options.network, options.format, options.batch)
        seconds = sum(steps.run("train") for _ in range(options.steps)) / 1e3
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts kibibytes
        print(f"{options.network:14} {options.steps / seconds:.2f} steps/s, peak memory {peak:.0f} MiB")
        return
    if options.serve:
        serve(Steps(options.network, options.format, options.batch))
        return
    for network in [options.network] if options.network else NETWORKS:
        for memory_format in [options.format] if options.format else FORMATS:
            steps = Steps(network, memory_format, options.batch)
            for what in PASSES:
                steps.run(what)
                times, end = [], time.perf_counter() + options.seconds
                while len(times) < 3 or time.perf_counter() < end:
                    times.append(steps.run(what))
                times.sort()
                print(f"{network:14} {what:10} {memory_format:14} fastest {times[0]:9.3f} ms, "
                      f"median {times[len(times) // 2]:9.3f} ms, {len(times)} runs", flush=True)


if __name__ == "__main__":
    main()
