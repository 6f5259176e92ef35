"""Work that a thread repeats."""

import logging
import threading

import pytest

from base.repeating import Repeating
from tests.timing import SOON


def test_work_is_repeated_after_errors_until_the_thread_is_closed(caplog: pytest.LogCaptureFixture):
    calls, third = [], threading.Event()

    def work() -> None:
        calls.append(len(calls))
        if len(calls) == 3:
            third.set()
        raise ValueError("no")

    with caplog.at_level(logging.ERROR):
        repeating = Repeating(work, 0.001, "work")
        assert third.wait(SOON)
        repeating.close()
    assert "work failed: error=ValueError" in caplog.text
    before = len(calls)
    assert not repeating._thread.is_alive()
    assert len(calls) == before


def test_a_pause_comes_before_the_first_call_and_ends_with_the_thread():
    calls: list[int] = []
    repeating = Repeating(lambda: calls.append(1), 3_600.0, "work")
    repeating.close()
    assert calls == []
