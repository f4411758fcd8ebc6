"""Reads and writes safetensors with nothing but the standard library; save_file and load_file, which need PyTorch, are
called as those of the package safetensors.torch are.
"""

import collections
import json
import struct

# struct's letter and an element's size, by the format's name of the type.
TYPES = {"F64": ("d", 8), "F32": ("f", 4), "I64": ("q", 8), "I32": ("i", 4), "U8": ("B", 1)}


class Tensor(collections.namedtuple("Tensor", "dtype shape data")):
    """An element type of TYPES, a list of dimensions, and the elements as row-major, little-endian bytes."""

    @classmethod
    def of(cls, dtype, shape, values):
        return cls(dtype, list(shape), struct.pack(f"<{len(values)}{TYPES[dtype][0]}", *values))

    def values(self):
        letter, size = TYPES[self.dtype]
        return struct.unpack(f"<{len(self.data) // size}{letter}", self.data)


def write(path, tensors, metadata=None):
    """Writes a dict of name → Tensor, wide elements first and then by name; equal arguments give equal bytes."""
    header = {"__metadata__": metadata} if metadata else {}
    names = sorted(tensors, key=lambda name: (-TYPES[tensors[name].dtype][1], name))
    offset = 0
    for name in names:
        dtype, shape, data = tensors[name]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 64)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in names:
            file.write(tensors[name].data)


def read(path):
    """Returns (dict of name → Tensor, metadata). Raises ValueError for a file that is not whole."""
    with open(path, "rb") as file:
        content = file.read()
    if len(content) < 8 or 8 + struct.unpack("<Q", content[:8])[0] > len(content):
        raise ValueError(f"{path}: {len(content)} bytes do not hold the header")
    begin = 8 + struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:begin])
    metadata = header.pop("__metadata__", {})
    tensors, end = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        first, last = entry["data_offsets"]
        expected = TYPES[entry["dtype"]][1]
        for n in entry["shape"]:
            expected *= n
        if first != end or last - first != expected:
            raise ValueError(f"{path}: tensor {name} lies at {first} to {last}, expected {end} to {end + expected}")
        tensors[name] = Tensor(entry["dtype"], entry["shape"], content[begin + first : begin + last])
        end = last
    if begin + end != len(content):
        raise ValueError(f"{path}: {len(content)} bytes, expected {begin + end}")
    return tensors, metadata


# PyTorch's names of the types.
TORCH_TYPES = {"F64": "float64", "F32": "float32", "I64": "int64", "I32": "int32", "U8": "uint8"}


def save_file(tensors, filename, metadata=None):
    """Writes a dict of name → PyTorch's tensor, such as a state_dict."""
    names = {name: dtype for dtype, name in TORCH_TYPES.items()}
    written = {}
    for key, t in tensors.items():
        dtype = names.get(str(t.dtype).replace("torch.", ""))
        if dtype is None:
            raise ValueError(f"{filename}: tensor {key} is of {t.dtype}, expected one of {', '.join(names)}")
        written[key] = Tensor(dtype, list(t.shape), t.detach().cpu().contiguous().numpy().tobytes())
    write(filename, written, metadata)


def load_file(filename):
    """Returns a dict of name → PyTorch's tensor, for load_state_dict."""
    import torch

    def tensor(dtype, shape, data):
        of = getattr(torch, TORCH_TYPES[dtype])
        # A copy, because bytes cannot be written to, and because PyTorch takes no empty buffer.
        return torch.frombuffer(bytearray(data), dtype=of).reshape(shape) if data else torch.empty(shape, dtype=of)

    return {name: tensor(*entry) for name, entry in read(filename)[0].items()}
