"""Item vectors and query vectors for tests of the index."""

import numpy as np
import pytest

from tests.towers.examples import unit


@pytest.fixture(scope="package")
def vectors() -> np.ndarray:
    """2,000 item vectors in 50 clusters, because vectors of real products also form clusters."""
    centres, spread = unit(50, 32, seed=1), unit(2_000, 32, seed=2)
    vectors = np.repeat(centres, 40, axis=0) + 0.6 * spread
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="package")
def queries() -> np.ndarray:
    return unit(70, 32, seed=3)
