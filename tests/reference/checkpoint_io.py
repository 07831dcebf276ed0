"""Reads and writes model folders with numpy alone: safetensors (f32, f16, bf16) and config.json.

Independent of both ssmd's reader and Hugging Face's, so that it can check either.
"""

import json
import pathlib
import struct

import numpy as np


def _widen_bf16(raw):
    return (raw.astype(np.uint32) << 16).view(np.float32)


def round_to_bf16(values):
    """The nearest bf16 values, even at ties, as float64. Finite values only."""
    return _widen_bf16(_bf16_bits(values)).astype(np.float64)


def _bf16_bits(values):
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def read_safetensors(path):
    """name → float64 array (integers stay as they are)."""
    raw = pathlib.Path(path).read_bytes()
    (header_bytes,) = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8 : 8 + header_bytes])
    data = memoryview(raw)[8 + header_bytes :]
    plain = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "I32": np.int32, "I64": np.int64}
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        if entry["dtype"] == "BF16":
            array = _widen_bf16(np.frombuffer(data[begin:end], dtype=np.uint16))
        else:
            array = np.frombuffer(data[begin:end], dtype=plain[entry["dtype"]])
        if array.dtype.kind == "f":
            array = array.astype(np.float64)
        tensors[name] = array.reshape(entry["shape"])
    return tensors


def write_safetensors(path, tensors):
    """tensors: name → (dtype name, array)."""
    encode = {
        "F64": lambda a: np.ascontiguousarray(a, np.float64),
        "F32": lambda a: np.ascontiguousarray(a, np.float32),
        "F16": lambda a: np.ascontiguousarray(a, np.float16),
        "I32": lambda a: np.ascontiguousarray(a, np.int32),
        "BF16": _bf16_bits,
    }
    header, blobs, offset = {}, [], 0
    for name, (dtype, array) in tensors.items():
        blob = encode[dtype](array).tobytes()
        header[name] = {
            "dtype": dtype,
            "shape": list(array.shape),
            "data_offsets": [offset, offset + len(blob)],
        }
        blobs.append(blob)
        offset += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def read_checkpoint(directory):
    """(config, name → array) of a folder, single or sharded, in Hugging Face's files or Mistral's."""
    directory = pathlib.Path(directory)
    configs = (directory / "config.json", directory / "params.json")
    config = json.loads(next(path for path in configs if path.exists()).read_text())
    for single in (directory / "model.safetensors", directory / "consolidated.safetensors"):
        if single.exists():
            return config, read_safetensors(single)
    index = json.loads((directory / "model.safetensors.index.json").read_text())
    tensors = {}
    for shard in sorted(set(index["weight_map"].values())):
        tensors.update(read_safetensors(directory / shard))
    return config, tensors
