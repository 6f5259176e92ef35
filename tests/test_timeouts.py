"""A stuck test ends in a failure, and so does the run."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
STUCK = """
import threading

def test_stuck():
    threading.Thread(daemon=True, target=threading.Event().wait).start()
    threading.Event().wait()

def test_next():
    pass
"""


def test_a_stuck_test_fails_within_its_timeout_and_the_others_run(tmp_path):
    (tmp_path / "test_stuck.py").write_text(STUCK)
    flags = ["-c", str(ROOT / "pyproject.toml"), "-n", "1", "--timeout=1", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *flags, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "test_stuck" in done.stdout
    assert "1 failed, 1 passed" in done.stdout
