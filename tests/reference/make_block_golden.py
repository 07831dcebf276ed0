"""Makes tests/unit/kernels/data: random blocks of each quantised type with the values that ggml's own
Python package (gguf, on PyPI) gives for them.

    venv/bin/pip install gguf
    venv/bin/python make_block_golden.py ../unit/kernels/data

A file is so many blocks, then their values as f32. The count follows from the file's size.
"""

import argparse
import pathlib

import numpy as np
from gguf import GGMLQuantizationType, quants

# type → (bytes of a block, offsets of its f16 factors, blocks to write)
TYPES = {
    GGMLQuantizationType.Q8_0: (34, [0], 16),
    GGMLQuantizationType.Q4_0: (18, [0], 16),
    GGMLQuantizationType.Q4_K: (144, [0, 2], 4),
    GGMLQuantizationType.Q6_K: (210, [208], 4),
}
# What the first blocks have for factors; the rest are random.
FACTORS = [1.0, -0.0625, 6e-8, 65504.0]


def make(kind, rng):
    block_bytes, offsets, count = TYPES[kind]
    blocks = rng.integers(0, 256, (count, block_bytes), dtype=np.uint8)
    for offset in offsets:
        factors = rng.standard_normal(count).astype(np.float16)
        factors[: len(FACTORS) - 1] = rng.permutation(FACTORS)[: len(FACTORS) - 1]
        blocks[:, offset : offset + 2] = factors.view(np.uint8).reshape(count, 2)
    values = quants.dequantize(blocks, kind)
    assert values.dtype == np.float32 and np.isfinite(values).all()
    return blocks.tobytes() + np.ascontiguousarray(values).tobytes()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(20240601)
    for kind in TYPES:
        (folder / f"{kind.name.lower()}.bin").write_bytes(make(kind, rng))


if __name__ == "__main__":
    main()
