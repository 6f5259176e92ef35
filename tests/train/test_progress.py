"""The progress that long work shows."""

import io

from rich.console import Console

from train.progress import track


def test_progress_is_a_line_for_every_tenth_where_there_is_no_terminal():
    text = io.StringIO()
    assert list(track(range(250), "encoding", 250, console=Console(file=text))) == [*range(250)]
    lines = text.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("encoding: 25 of 250 (10%)")
    assert lines[-1].startswith("encoding: 250 of 250 (100%)")


def test_progress_of_few_elements_and_of_none():
    text = io.StringIO()
    assert list(track(iter("ab"), "x", 2, console=Console(file=text))) == ["a", "b"]
    assert len(text.getvalue().splitlines()) == 2
    assert list(track([], "x", 0, console=Console(file=text))) == []


def test_progress_is_a_bar_on_a_terminal():
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=80)
    assert list(track(range(3), "encoding", 3, console=console)) == [0, 1, 2]
    assert "3/3" in text.getvalue()
