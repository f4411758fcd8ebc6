"""Runs the Python code of docs/pytorch.md: python3 document.py ALEXNET. Skipped, with status 77, where PyTorch is missing.

The blocks run one after the other in a folder with tests/ and best.safetensors, weights that the program ALEXNET trained. What
the document says of them is checked with that program: it reads the file that PyTorch wrote, and gives a picture the same
probabilities.
"""

import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

try:
    import torch
except ImportError:
    print("skipped: PyTorch was not found (Debian: python3-torch, for /usr/bin/python3)")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "golden"), str(ROOT / "benchmarks" / "peers")]
import networks  # noqa: E402
import safetensors  # noqa: E402

# What the package would be: the document asks for the same two functions.
sys.modules["safetensors.torch"] = safetensors

# Of the largest logit, as in check.py.
TOLERANCE = 1e-4


def main():
    alexnet = [os.path.abspath(sys.argv[1])]
    run = lambda *arguments: subprocess.run([*alexnet, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout
    text = (ROOT / "docs" / "pytorch.md").read_text("utf-8")
    blocks = list(re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    assert len(blocks) >= 5, "the document has lost its Python code"
    torch.manual_seed(3)
    net = networks.NETWORKS["SmallAlexNet"].build()
    picture = torch.randint(256, (3, 32, 32), dtype=torch.uint8)
    names = {"torch": torch, "net": net, "picture": picture}

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.symlink(ROOT / "tests", "tests")
        run("train", "--dataset", "synthetic", "--limit-train", "300", "--limit-test", "200", "--batch-size", "64",
            "--epochs", "1", "--out", "run")
        shutil.copy("run/best.safetensors", "best.safetensors")
        pathlib.Path("picture.ppm").write_bytes(b"P6 32 32 255\n" + picture.permute(1, 2, 0).contiguous().numpy().tobytes())

        for block in blocks:
            line = text.count("\n", 0, block.start(1))  # so that errors name the document's lines
            exec(compile("\n" * line + block[1], "docs/pytorch.md", "exec"), names)

        # The document's own SmallAlexNet is the one that check.py compares with ctnn's, rates of dropout included.
        assert names["net"] is not net and str(names["net"]) == str(net), "the document's SmallAlexNet is another"
        assert names["trained"] == safetensors.read("best.safetensors")[1]
        for key, tensor in safetensors.load_file("best.safetensors").items():
            for loaded in (net, names["net"]):
                assert torch.equal(loaded.state_dict()[key], tensor), f"{key}: not what ctnn saved"
        assert list(safetensors.load_file("small.safetensors")) == ["0.bias", "0.weight", "4.bias", "4.weight"]
        output = run("predict", "--weights", "net.safetensors", "--image", "picture.ppm", "--show-all-probs", "--json", "-")
        found = {p["class"]: p["probability"] for p in json.loads(output)["images"][0]["predictions"]}
        os.chdir("/")

    expected = dict(zip(names["class_names"], names["probabilities"].double().tolist()))
    assert found.keys() == expected.keys()
    with torch.no_grad():
        largest = names["net"](names["normalized"][None]).abs().max().item()
    error = max(abs(math.log(found[name]) - math.log(expected[name])) for name in found) / largest
    assert error <= TOLERANCE, f"logits differ by {error:.1e} of the largest, expected at most {TOLERANCE}"
    print(f"{len(blocks)} blocks of Python; logits differ by {error:.1e} of the largest")


main()
