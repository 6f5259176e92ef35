"""What the client needs: grpc and protobuf, nothing of ours, no models."""

import subprocess
import sys

FOREIGN = (
    "jax", "numpy", "flax", "pyarrow", "rich",
    "catalog", "lexical", "bert", "towers", "rerank", "search", "server", "train",
)  # fmt: skip


def test_importing_the_client_loads_no_model_code() -> None:
    program = (
        "import sys, shortlist.client; "
        f"print([name for name in {FOREIGN!r} if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
