"""Functions that the recurrences in float64 share."""

import numpy as np


def silu(x):
    # Written so that neither branch overflows.
    return np.where(x >= 0, x / (1 + np.exp(-np.abs(x))), x * np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))))


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def rms_norm(x, weight, eps):
    """Over the last axis."""
    normed = x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps)
    return normed if weight is None else normed * weight
