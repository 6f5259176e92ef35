import subprocess
import sys

import numpy as np
import pytest

from bench.harness.memory import resident_bytes

_SIZE = 128 * 2**20


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")


def test_resident_memory_is_reported_with_and_without_mapped_files(tmp_path):
    np.save(tmp_path / "file.npy", np.ones(_SIZE, np.uint8))
    before, without = resident_bytes(), resident_bytes(files=False)
    kept, mapped = np.ones(_SIZE, np.uint8), np.load(tmp_path / "file.npy", mmap_mode="r")
    assert mapped.sum() == kept.sum()
    assert resident_bytes() - before > 1.8 * _SIZE
    assert 0.9 * _SIZE < resident_bytes(files=False) - without < 1.5 * _SIZE


def test_memory_of_another_process_is_reported_until_it_ends():
    code = "kept = bytes(range(256)) * 2**18; print(flush=True); open(0).read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        assert 2**26 < resident_bytes(process.pid) < 2**28
    assert resident_bytes(process.pid) is None
