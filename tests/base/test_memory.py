import sys

import numpy as np
import pytest

from base.memory import forget_peak, peak_bytes

_SIZE = 128 * 2**20


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")


def test_the_peak_counts_from_its_reset():
    forget_peak()
    before = peak_bytes()
    np.ones(_SIZE, np.uint8)
    held = peak_bytes()
    assert before + 0.9 * _SIZE < held < before + 2 * _SIZE
    forget_peak()
    assert peak_bytes() < held - 0.5 * _SIZE
