"""Helpers for tests of the index."""

import sys

import numpy as np
import pytest

needs_scann = pytest.mark.skipif(sys.platform != "linux", reason="ScaNN has wheels for Linux only")


def unit(rows: int, dim: int, seed: int) -> np.ndarray:
    """Return random unit vectors."""
    vectors = np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
