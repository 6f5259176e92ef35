import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.mesh
@pytest.mark.slow
def test_eight_devices_train_as_one_does():
    flags = (
        "--xla_force_host_platform_device_count=8 "
        "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    )
    done = subprocess.run(
        [sys.executable, "-m", "tests.train.loop.meshed"],
        cwd=ROOT,
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    report = json.loads(done.stdout)
    assert set(report) == {
        f"{model} {shape}" for model in ("towers", "reranker") for shape in ("1x1", "8x1", "4x2")
    }
    for found in report.values():
        assert found["loss"] < 1e-5
        assert found["gradients"] < 1e-5
        assert found["parameters"] < 1e-5
        assert found["moved"] > 5e-5
