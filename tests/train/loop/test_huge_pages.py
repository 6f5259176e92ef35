import os
import subprocess
import sys
from pathlib import Path

import pytest

from train.loop.huge_pages import huge_pages

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="huge pages are asked for on Linux alone"
)

REPOSITORY = Path(__file__).parents[3]
# A program that allocates 64 MiB with NumPy, and prints how much of its memory is in huge pages.
PROGRAM = """
from train.loop.huge_pages import restart_with_huge_pages
restart_with_huge_pages()
import os, re, sys
import numpy as np
print(os.getpid(), os.environ["GLIBC_TUNABLES"], sys.argv[1:])
kept = np.ones(2**23)
print(re.search(r"AnonHugePages: +(\\d+) kB", open("/proc/self/smaps_rollup").read())[1])
"""


def run(**environment):
    others = {
        k: v for k, v in os.environ.items() if k not in ("GLIBC_TUNABLES", "TRAIN_BEGUN_ANEW")
    }
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "an argument", "--flag"],
        cwd=REPOSITORY,
        env=others | environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        said = process.communicate()[0].splitlines()
    return process, said


def test_a_process_begins_anew_with_huge_pages():
    process, (first, kilobytes) = run()
    assert process.returncode == 0
    # The restart keeps the process id and the arguments, and sets the environment variable.
    assert first == f"{process.pid} glibc.malloc.hugetlb=1 ['an argument', '--flag']"
    allowed = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if allowed.exists() and "[never]" not in allowed.read_text():
        # Even in fragmented memory, there is at least one huge page of 2 MiB.
        assert int(kilobytes) >= 2_048


def test_what_was_asked_for_already_is_kept():
    _, (first, _) = run(GLIBC_TUNABLES="glibc.malloc.hugetlb=0")
    assert "hugetlb=0 [" in first
    assert huge_pages({"GLIBC_TUNABLES": "glibc.malloc.check=3"}) == {
        "GLIBC_TUNABLES": "glibc.malloc.check=3:glibc.malloc.hugetlb=1"
    }
