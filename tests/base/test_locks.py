"""Only one process at a time can lock a directory."""

import subprocess
import sys
from pathlib import Path

import pytest

from base.errors import InputError
from base.locks import LOCK_FILE, DirectoryLock

HOLD = (
    "import sys; from pathlib import Path; from base.locks import DirectoryLock;"
    "lock = DirectoryLock(Path(sys.argv[1]), 'taken');"
    "print('held', flush=True); sys.stdin.read()"
)


def test_a_second_lock_is_refused_until_the_first_is_released(tmp_path):
    with DirectoryLock(tmp_path, "taken"), pytest.raises(InputError, match=r"^taken$"):
        DirectoryLock(tmp_path, "taken")
    DirectoryLock(tmp_path, "taken").release()


def test_a_lock_of_another_process_is_free_once_that_process_is_killed(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="taken"):
            DirectoryLock(tmp_path, "taken")
        holder.kill()
        holder.wait()
    DirectoryLock(tmp_path, "taken").release()


def test_a_private_lock_file_is_for_this_user_alone(tmp_path):
    with DirectoryLock(tmp_path, "taken", private=True):
        assert (tmp_path / LOCK_FILE).stat().st_mode & 0o777 == 0o600
