"""An independent reader of TensorBoard's event files, and of the PNG pictures in them."""

import struct
import zlib

CRC32C = []
for i in range(256):
    for _ in range(8):
        i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
    CRC32C.append(i)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC32C[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def masked(crc):
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(data):
    """The records of a file, every checksum checked."""
    found, at = [], 0
    while at < len(data):
        size, crc = struct.unpack_from("<QI", data, at)
        assert crc == masked(crc32c(data[at:at + 8])), f"offset {at}: checksum of the length"
        record = data[at + 12:at + 12 + size]
        assert len(record) == size, f"offset {at}: {size} bytes, but the file ends"
        assert struct.unpack_from("<I", data, at + 12 + size)[0] == masked(crc32c(record)), f"offset {at}: checksum of the data"
        found.append(record)
        at += 16 + size
    return found


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(message):
    """A protobuf message as (number, value) pairs: integers, floats, bytes."""
    at, found = 0, []
    while at < len(message):
        key, at = varint(message, at)
        if key & 7 == 0:
            value, at = varint(message, at)
        elif key & 7 == 2:
            size, at = varint(message, at)
            value, at = message[at:at + size], at + size
            assert len(value) == size
        else:
            letter, size = {1: ("<d", 8), 5: ("<f", 4)}[key & 7]
            value, at = struct.unpack_from(letter, message, at)[0], at + size
        found.append((key >> 3, value))
    return found


def only(message):
    """The same as a dict, of a message without repeated fields."""
    found = fields(message)
    assert len(dict(found)) == len(found), "a field twice"
    return dict(found)


def doubles(data):
    return struct.unpack(f"<{len(data) // 8}d", data)


class Value:
    """A value of a summary: `kind` is "scalar", "image", "histogram" or "plugin"."""

    def __init__(self, step, message):
        parts = only(message)
        self.step, self.tag = step, parts.pop(1).decode()
        metadata = only(only(parts.pop(9))[1]) if 9 in parts else None
        (number, content), = parts.items()
        self.kind = {2: "scalar", 4: "image", 5: "histogram", 8: "plugin"}[number]
        if self.kind == "scalar":
            self.number = content
        elif self.kind == "image":
            image = only(content)
            self.height, self.width, self.channels, self.png = (image[i] for i in range(1, 5))
        elif self.kind == "histogram":
            histogram = only(content)
            self.min, self.max, self.num, self.sum, self.sum_squares = (histogram[i] for i in range(1, 6))
            self.limits, self.counts = doubles(histogram[6]), doubles(histogram[7])
        else:
            self.plugin, self.content, self.tensor = metadata[1].decode(), only(metadata[2]), content


def decode_png(data):
    """(height, width, channels, rows of bytes) of a grey or RGB PNG without interlacing."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, packed = 8, b""
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8:at + 8 + size]
        assert struct.unpack_from(">I", data, at + 8 + size)[0] == zlib.crc32(kind + body)
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", body)
        elif kind == b"IDAT":
            packed += body
        at += 12 + size
    assert kind == b"IEND" and depth == 8 and interlaced == 0
    channels = {0: 1, 2: 3}[colour]
    lines = zlib.decompress(packed)
    stride = width * channels
    assert len(lines) == height * (1 + stride)
    rows, above = [], bytes(stride)
    for y in range(height):
        how, line = lines[y * (1 + stride)], bytearray(lines[y * (1 + stride) + 1:(y + 1) * (1 + stride)])
        if how == 2:
            line = bytes((a + b) & 0xFF for a, b in zip(line, above))
        elif how != 0:
            for x in range(stride):
                left, up, corner = (line[x - channels], above[x], above[x - channels]) if x >= channels else (0, above[x], 0)
                if how == 1:
                    near = left
                elif how == 3:
                    near = (left + up) // 2
                else:  # Paeth's: the first among equals
                    to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
                    near = left if to_left <= to_up and to_left <= to_corner else up if to_up <= to_corner else corner
                line[x] = (line[x] + near) & 0xFF
        above = bytes(line)
        rows.append(above)
    return height, width, channels, rows
