"""A process that is paused during requests. The kernel reports its state."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from live.throttle import Throttle
from tests.timing import SOON, eventually


@pytest.fixture
def process() -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", "import signal; signal.pause()"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        yield running
        running.kill()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


def state_of(pid: int) -> str:
    """Return the state of a process: T if it is paused, Z if it has ended, "" if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def seen(process: "subprocess.Popen[str]", *, paused: bool) -> None:
    """Wait until a process is paused, or until it is not paused."""
    eventually(lambda: (state_of(process.pid) == "T") == paused)


def end(process: "subprocess.Popen[str]", waiting: "Future[str | None]") -> None:
    """Ask a process to end, and wait for its end."""
    process.terminate()
    assert waiting.result(SOON) == ""
    assert process.returncode == -signal.SIGTERM


def test_a_process_is_paused_while_there_are_requests(process, pool):
    throttle = Throttle()
    waiting = pool.submit(throttle.wait, process, threading.Event())
    seen(process, paused=False)
    for _ in range(3):
        with throttle.request():
            with throttle.request():
                seen(process, paused=True)
            # The inner request has ended, but the outer request is still running.
            seen(process, paused=True)
        seen(process, paused=False)
    end(process, waiting)


def test_a_request_that_began_before_the_process_pauses_it(process, pool):
    throttle = Throttle()
    with throttle.request():
        waiting = pool.submit(throttle.wait, process, threading.Event())
        seen(process, paused=True)
    end(process, waiting)


def test_endless_requests_do_not_stop_a_process(process, pool):
    throttle = Throttle()
    with throttle.request():
        waiting = pool.submit(throttle.wait, process, threading.Event())
        seen(process, paused=True)
        end(process, waiting)


def test_a_process_runs_on_once_the_wait_for_it_is_stopped(process, pool):
    throttle, stop = Throttle(), threading.Event()
    with throttle.request():
        waiting = pool.submit(throttle.wait, process, stop)
        seen(process, paused=True)
        stop.set()
        assert waiting.result(SOON) is None
        seen(process, paused=False)
    with throttle.request():  # the throttle no longer pauses the process
        seen(process, paused=False)


def test_waiting_for_an_ended_process_returns(process):
    throttle = Throttle()
    process.kill()
    process.wait(SOON)
    with throttle.request():
        assert throttle.wait(process, threading.Event()) == ""


def test_a_step_of_other_work_waits_for_requests(pool):
    throttle = Throttle(round_seconds=SOON)
    throttle.give_way()
    with throttle.request():
        with throttle.request():
            step = pool.submit(throttle.give_way)
        # The inner request has ended, but the outer request is still running.
        assert not wait([step], timeout=0.05).done
    step.result(SOON)


def test_endless_requests_do_not_stop_other_work():
    throttle = Throttle()
    with throttle.request():
        throttle.give_way()


def test_a_paused_process_ends_with_its_killed_server():
    child = (
        "from live import index_build; import signal;"
        "index_build.end_with_the_server(); print('ready', flush=True); signal.pause()"
    )
    server = (
        "import os, signal, subprocess, sys;"
        "held, _ = os.pipe();"
        f"process = subprocess.Popen([sys.executable, '-c', {child!r}], stdin=held, stdout=-1);"
        "process.stdout.readline();"
        "process.send_signal(signal.SIGSTOP);"
        "print(process.pid, flush=True);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", server]
    killed = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=False)
    assert killed.returncode == -signal.SIGKILL
    eventually(lambda: state_of(int(killed.stdout)) in ("", "Z"))
