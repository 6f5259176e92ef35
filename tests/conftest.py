"""What every test runs under, and where the real datasets lie."""

import os
from collections.abc import Callable
from pathlib import Path

import hypothesis
import jax
import pytest
from jaxtyping import install_import_hook

# Before any of the packages is imported: shapes and types in signatures are checked from here on.
install_import_hook(
    ["catalog", "lexical", "bert", "towers", "rerank", "search", "server", "train"],
    "beartype.beartype",
)
jax.config.update("jax_numpy_rank_promotion", "raise")

# No time limit per example: how fast the machine is at the moment says nothing about the code.
hypothesis.settings.register_profile("shortlist", deadline=None)
hypothesis.settings.load_profile("shortlist")


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Finds a dataset directory by name (such as "homedepot"), or skips the test."""

    def find(name: str) -> Path:
        root = os.environ.get("SHORTLIST_DATA")
        if not root:
            pytest.skip("SHORTLIST_DATA is not set; point it at the directory of real datasets")
        directory = Path(root) / name
        if not directory.is_dir():
            pytest.skip(f"SHORTLIST_DATA has no directory {name}")
        return directory

    return find
