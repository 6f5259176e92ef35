"""An event log whose process is killed at every failpoint, and at random moments.

By default, the tests kill three processes at each failpoint and ten at random moments.
`TEST_KILLS=100` sets a hundred kills of each kind.
"""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from base.failpoints import NAMES, VARIABLE
from behaviour.log.event_log import EventLog
from tests.behaviour.examples import bytes_of, event
from tests.behaviour.log.killed_program import user_of

ROOT = Path(__file__).parents[3]
KILLS = int(os.environ.get("TEST_KILLS", "0"))
FAILPOINTS = sorted(name for name in NAMES if name.startswith("events."))


def start(directory: Path, seed: int, *flags: str, failpoint: str = "") -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: failpoint}
    program = "tests.behaviour.log.killed_program"
    return subprocess.Popen(
        [sys.executable, "-m", program, str(directory), str(seed), *flags],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


class Told:
    """What the killed programs said: the events that the log must have, and the erased users."""

    def __init__(self) -> None:
        self.kept: set[str] = set()
        self.uncertain: set[str] = set()  # of users whose erasure had begun
        self.erased: set[str] = set()

    def read(self, output: str) -> None:
        for line in output.splitlines():
            word, *rest = line.split(" ")
            if word == "recorded":
                self.kept |= set(rest)
                self.erased -= {user_of(event_id) for event_id in rest}
            elif word == "erasing":
                self.uncertain |= {i for i in self.kept if user_of(i) in rest}
                self.kept -= self.uncertain
            elif word == "erased":
                self.erased |= set(rest)

    def compare(self, directory: Path) -> None:
        """Check that the log has each acknowledged event once, and nothing of erased users."""
        with EventLog.open(directory) as log:
            ids = [stored.event.event_id for stored in log.events()]
            assert len(ids) == len(set(ids))
            assert self.kept <= set(ids)
            again = [event(i, user_id=user_of(i)) for i in sorted(self.kept)]
            outcomes, _ = log.append([again])
            assert outcomes[0].duplicates == len(again)
            for user in self.erased - {user_of(event_id) for event_id in ids}:
                assert user.encode() not in bytes_of(directory)


@pytest.mark.parametrize("name", FAILPOINTS)
def test_a_kill_at_a_failpoint_loses_no_acknowledged_event(name: str, tmp_path: Path):
    told = Told()
    for seed in range(KILLS or 3):
        failpoint = f"{name}:{random.Random(f'{name} {seed}').randint(1, 4)}"
        with start(tmp_path, seed, "erase", failpoint=failpoint) as process:
            output, _ = process.communicate()
        assert process.returncode == -signal.SIGKILL
        told.read(output)
        told.compare(tmp_path)


def test_a_kill_at_any_moment_loses_no_acknowledged_event(tmp_path: Path):
    told, chance = Told(), random.Random(0)
    for seed in range(KILLS or 10):
        with start(tmp_path, seed) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(chance.randint(1, 200))]
            try:
                process.wait(timeout=chance.uniform(0, 0.01))
            except subprocess.TimeoutExpired:
                process.kill()
            output, _ = process.communicate()
        assert process.returncode == -signal.SIGKILL
        told.read("".join([*lines, output[: output.rfind("\n") + 1]]))
        told.compare(tmp_path)
    assert len(told.kept) > 100
