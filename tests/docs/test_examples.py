"""Every program in examples/ runs: against a real server, or to train a bundle."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from search.bundle import verify
from server.config import ServerConfig
from tests.server.conftest import run_server

ROOT = Path(__file__).resolve().parents[2]


def run(name: str, *arguments: str) -> list[str]:
    """Run an example as its docstring says, and return the lines that it prints."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "protos")])
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), *arguments],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def address(
    tiny_bundle: Path, compilation_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of a server that takes writes."""
    config = ServerConfig(
        tiny_bundle, port=0, drain_seconds=0.0, compilation_cache=compilation_cache
    )
    with run_server(replace(config, state=tmp_path_factory.mktemp("state"))) as running:
        yield running.address


def test_every_example_is_run_here() -> None:
    text = Path(__file__).read_text("utf-8")
    for path in (ROOT / "examples").glob("*.py"):
        assert f'run("{path.name}"' in text


def test_a_search_prints_results_and_stages(address: str) -> None:
    lines = run("print_scores.py", "usb c charger", "--address", address)
    assert [line[:2] for line in lines[:5]] == ["1.", "2.", "3.", "4.", "5."]
    assert all("recall" in line and "rerank" in line for line in lines[:5])
    assert [line.split(":")[0] for line in lines[5:]] == ["encode", "recall", "features", "rerank"]


def test_filters_hold_and_facets_count_what_matches(address: str) -> None:
    lines = run("filters_and_facets.py", "usb c charger", "--below", "30", "--address", address)
    count = int(lines[0].split()[0])
    assert count > 0
    results = [line for line in lines if re.match(r"\d+\. ", line)]
    prices = [float(line.rpartition(", ")[2]) for line in results]
    assert prices
    assert max(prices) < 30
    [brands] = [line for line in lines if line.startswith("brand ")]
    assert sum(ast.literal_eval(brands.removeprefix("brand ")).values()) == count
    assert lines[-1].startswith("popular: ['")


def test_prices_are_written_and_an_unknown_item_is_named(address: str) -> None:
    lines = run("change_prices.py", "Ch-10-voltix=7.5", "nothing=1", "--address", address)
    assert lines[0] == "Ch-10-voltix: 7.5"
    assert lines[1].startswith("nothing: ")
    assert lines[1] != "nothing: 1"


@pytest.mark.slow
def test_an_export_of_a_shop_becomes_a_bundle(tmp_path: Path, compilation_cache: Path) -> None:
    export = tmp_path / "export.csv"
    export.write_text(
        "sku,name,maker,path,gross,warehouse\n"
        'a1,"USB C charger, 65 W",Voltix,Electronics > Chargers,"29,90",7\n'
        "a2,Electric kettle,,Kitchen,39.00,7\n"
    )
    (tmp_path / "out" / "cache").mkdir(parents=True)
    (tmp_path / "out" / "cache" / "xla").symlink_to(compilation_cache)
    run("train_from_csv.py", str(export), "--out", str(tmp_path / "out"))
    bundle = tmp_path / "out" / "bundle"
    assert verify(bundle).bundle_id
    [charger, kettle] = pq.read_table(bundle / "items.parquet").to_pylist()
    assert (charger["item_id"], charger["brand"], charger["price"]) == ("a1", "Voltix", 29.9)
    assert (kettle["title"], kettle["brand"]) == ("Electric kettle", None)


def test_suggestions_come_with_their_targets(address: str) -> None:
    *typed, last = run("suggest_while_typing.py", "electr", "--address", address)
    assert last == "Electronics → category Electronics"
    assert typed[0].startswith("e: ")
