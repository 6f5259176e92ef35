"""The client imports grpc and protobuf, but no model library and no other package of ours."""

import subprocess
import sys

import pytest

FOREIGN = (
    "jax", "numpy", "flax", "pyarrow", "rich", "grpc_status",
    "catalog", "lexical", "bert", "towers", "rerank", "search", "server", "train",
)  # fmt: skip


@pytest.mark.parametrize("module", ["shortlist.client", "shortlist.aio", "shortlist.filters"])
def test_importing_a_client_loads_no_model_code(module: str) -> None:
    program = f"import sys, {module}; print([name for name in {FOREIGN!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
