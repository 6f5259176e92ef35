"""The comparison of two checkouts refuses a checkout that it cannot run."""

from pathlib import Path

import pytest

from bench.checkouts import CheckoutsConfig, main, require_modules

ROOT = Path(__file__).resolve().parents[2]


def test_a_checkout_without_the_modules_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "bench" / "models").mkdir(parents=True)
    (tmp_path / "bench" / "models" / "ours.py").touch()
    with pytest.raises(SystemExit) as refused:
        main(CheckoutsConfig(tmp_path, tmp_path))
    message = str(refused.value)
    assert message.startswith(f"error: --other {tmp_path} lacks bench/models/training/ours.py, ")
    assert message.endswith("; name a checkout of commit 88dbd56 or later")
    assert "\n" not in message


def test_this_checkout_has_the_modules() -> None:
    require_modules(ROOT)
