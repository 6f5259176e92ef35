"""The commands and programs of docs/tutorial.md print what the page shows."""

import itertools
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from catalog.dataset.reading import read_dataset
from server.config import ServerConfig
from tests.server.conftest import run_server

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
# Each block with its next block. If the first is a command or program, the second is its output.
PAIRS = list(itertools.pairwise(BLOCKS))


class Shop(NamedTuple):
    """The tutorial's folder, and the address of a server of the tutorial's first bundle."""

    folder: Path
    address: str


def shortlist(*arguments: str, folder: Path) -> str:
    path = os.pathsep.join([str(ROOT), str(ROOT / "protos")])
    done = subprocess.run(
        [sys.executable, "-P", "-m", "commands", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def write_tables(folder: Path) -> None:
    """Run the shell examples of the tutorial, up to the end of the tables that they write."""
    for language, block in BLOCKS:
        if language == "sh" and "<<'END'" in block:
            lines = block[: block.rindex("\nEND\n") + len("\nEND\n")]
            subprocess.run(["bash", "-euc", lines], cwd=folder, check=True)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, compilation_cache: Path) -> Iterator[Shop]:
    """The folder and the server of the tutorial's third step."""
    folder = tmp_path_factory.mktemp("tutorial")
    write_tables(folder)
    for later in ("events", "judgments"):
        (folder / "my-shop" / f"{later}.csv").rename(folder / f"{later}.csv")
    cache = folder / "out" / "my-shop" / "cache"
    cache.mkdir(parents=True)
    (cache / "xla").symlink_to(compilation_cache)
    shortlist("train", "--data", "my-shop", "--out", "out/my-shop", folder=folder)
    config = ServerConfig(
        folder / "out" / "my-shop" / "bundle",
        state=folder / "out" / "my-shop" / "state",
        port=0,
        drain_seconds=0.0,
        compilation_cache=compilation_cache,
    )
    with run_server(config) as running:
        yield Shop(folder, running.address)


def test_the_data_is_valid_as_shown(shop: Shop) -> None:
    [shown] = [
        output
        for (language, block), (_, output) in PAIRS
        if language == "sh" and "shortlist validate" in block
    ]
    assert shortlist("validate", "--data", "my-shop", folder=shop.folder) == shown


def test_the_tables_of_the_last_step_are_valid(tmp_path: Path) -> None:
    write_tables(tmp_path)
    dataset = read_dataset(tmp_path / "my-shop")
    assert dataset.warnings == ()
    assert dataset.judgments is not None
    assert dataset.events is not None
    assert (dataset.items.num_rows, dataset.events.num_rows) == (12, 14)


def test_the_search_finds_the_items_shown(shop: Shop) -> None:
    [(block, shown)] = [
        (block, output)
        for (language, block), (_, output) in PAIRS
        if language == "sh" and block.startswith("shortlist search")
    ]
    [query] = re.findall('"(.+?)"', block)
    flags = ["--page-size", "3", "--address", shop.address, "--timeout-seconds", "60"]
    printed = shortlist("search", query, *flags, folder=shop.folder)

    def rows(text: str) -> list[list[str]]:
        lines = [line for line in text.splitlines() if line.startswith("│")]
        return [[cell.strip() for cell in line.split("│")] for line in lines]

    # Scores differ a little between processors, because not all of them compute in bfloat16.
    found, expected = rows(printed), rows(shown)
    assert [row[3:6] for row in found] == [row[3:6] for row in expected]
    scores = [[float(row[2]) for row in table] for table in (found, expected)]
    assert scores[0] == pytest.approx(scores[1], abs=0.01)


def test_programs_print_what_is_shown(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    programs = [(block, output) for (language, block), (_, output) in PAIRS if language == "python"]
    assert len(programs) == 2
    for block, output in programs:
        assert '"127.0.0.1:50051"' in block
        program = block.replace('"127.0.0.1:50051"', f'"{shop.address}", timeout_seconds=60')
        exec(compile(program, "tutorial.md", "exec"), {})
        assert capsys.readouterr().out == output
