"""Compiles scans.c with the system's C compiler, and makes functions of autograd of it."""

import ctypes
import hashlib
import os
import pathlib
import subprocess

import torch

SOURCE = pathlib.Path(__file__).with_name("scans.c")
FLAGS = ["-O3", "-march=native", "-ffast-math", "-fopenmp", "-shared", "-fPIC"]
TYPES = {torch.float32: "float", torch.float64: "double"}
libraries = {}  # by type; empty: scans.py goes token by token in torch


def compile_into(folder):
    """Why it failed, or None; what was compiled before is taken from `folder`."""
    compiler = os.environ.get("CC", "cc")
    key = hashlib.sha256(SOURCE.read_bytes() + " ".join([compiler, *FLAGS]).encode()).hexdigest()[:16]
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for dtype, name in TYPES.items():
        path = folder / f"scans-{name}-{key}.so"
        if not path.exists():
            command = [compiler, *FLAGS, f"-DREAL={name}", str(SOURCE), "-o", str(path), "-lm"]
            try:
                subprocess.run(command, check=True, capture_output=True, text=True)
            except (OSError, subprocess.CalledProcessError) as error:
                return str(getattr(error, "stderr", "") or error)
        libraries[dtype] = ctypes.CDLL(str(path.resolve()))
    return None


class Scan(torch.autograd.Function):
    """A pair of functions of scans.c. All inputs have the batch first; y is like the first."""

    @staticmethod
    def forward(context, name, size, *inputs):
        inputs = [x.contiguous() for x in inputs]
        context.name, context.sizes = name, (ctypes.c_int64 * 4)(*inputs[0].shape[:3], size)
        context.save_for_backward(*inputs)
        y = torch.empty_like(inputs[0])
        call(f"{name}_forward", context.sizes, inputs, y)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context, gradient):
        inputs = context.saved_tensors
        gradients = [torch.zeros_like(x) for x in inputs]
        call(f"{context.name}_backward", context.sizes, inputs, gradient.contiguous(), gradients)
        return None, None, *gradients


def call(function, sizes, *arguments):
    """Tensors as pointers, lists of them as arrays of pointers."""
    dtype = arguments[0][0].dtype
    getattr(libraries[dtype], function)(sizes, *(pointers(argument) for argument in arguments))


def pointers(argument):
    if isinstance(argument, torch.Tensor):
        return ctypes.c_void_p(argument.data_ptr())
    return (ctypes.c_void_p * len(argument))(*(x.data_ptr() for x in argument))
