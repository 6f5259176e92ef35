"""From an export to a search, by the real commands: import, validate, train, serve and search.

A walk takes many seconds, so a run of the tests walks with two feeds, and trains the first stage
alone. TEST_WALKS=all walks with an export of every format, and trains both stages with a feed.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from shortlist.client import Client
from tests.catalog.importing.made import EXPORTS
from tests.catalog.importing.made.export import MadeExport
from tests.tiny import write_pretrained

ROOT = Path(__file__).resolve().parents[2]
ALL = os.environ.get("TEST_WALKS") == "all"
# Grades for items of the tab-separated feed. One item a query is enough to train the first stage.
GRADED = (("A-1", 2), ("S-M", 0), ("K 9", 1))[: None if ALL else 1]
GRADES = "query,item_id,grade,split\n" + "".join(
    f"{query},{item},{grade},{split}\n"
    for split, queries in (
        ("train", ("usb charger", "fast charger", "charger 65 w")),
        ("dev", ("black charger",)),
        ("test", ("voltix charger",)),
    )
    for query in queries
    for item, grade in GRADED
)


def command(*words: object) -> list[str]:
    return [sys.executable, "-P", "-m", "commands", *map(str, words)]


def environ() -> Mapping[str, str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "protos")])
    return {**os.environ, "PYTHONPATH": path, "COLUMNS": "200"}


def shortlist(*words: object) -> str:
    """Run a command, and return what it prints."""
    done = subprocess.run(
        command(*words), env=environ(), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def serving(bundle: Path, cache: Path) -> Iterator[str]:
    """Run `shortlist serve`, and yield its address."""
    words = command("serve", "--bundle", bundle, "--port", 0, "--compilation-cache", cache)
    with subprocess.Popen(words, env=environ(), stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            assert line.startswith("listening on "), line
            yield line.removeprefix("listening on ").strip()
        finally:
            server.send_signal(signal.SIGTERM)
    assert server.returncode == 0


@pytest.fixture(scope="module")
def flags(
    tmp_path_factory: pytest.TempPathFactory, compilation_cache: Path
) -> Callable[[Path], list[object]]:
    """Return a function that makes flags with which training takes seconds."""
    pretrained = write_pretrained(tmp_path_factory.mktemp("pretrained"))

    def make(out: Path) -> list[object]:
        (out / "cache").mkdir(parents=True)
        (out / "cache" / "xla").symlink_to(compilation_cache)
        return [
            *("--out", out, "--init-from", pretrained, "--numerics", "float32", "--layers", 1),
            *("--towers.dim", 32, "--towers.max-query-tokens", 8, "--towers.max-item-tokens", 24),
            *("--pairs.batch", 4, "--towers-fit.evaluations", 1, "--rerank-fit.evaluations", 1),
            *("--reranker.max-query-tokens", 6, "--reranker.max-tokens", 32),
            *("--reranker.fusion", 8, "--guard.towers", "always", "--guard.reranker", "always"),
            *("--calibration.pieces", 20, "--calibration.absent", 5),
            *(() if ALL else ("--candidates.unjudged", 0)),
        ]

    return make


def write(folder: Path, made: MadeExport) -> Path:
    folder.mkdir()
    for name, content in made.files.items():
        (folder / name).write_bytes(content)
    return folder


def import_flags(made: MadeExport, folder: Path) -> Iterator[object]:
    for name, value in made.options.items():
        yield from (f"--{name}", value)
    if made.mapping:
        (folder / "mapping.toml").write_text(made.mapping, "utf-8")
        yield from ("--mapping", folder / "mapping.toml")


def check_served(made: MadeExport, bundle: Path, cache: Path) -> None:
    """Serve a bundle, search it, and compare every value of its items with the expected table."""
    query, expected = made.search
    title = next(item["title"] for item in made.items if item["item_id"] == expected)
    with serving(bundle, cache) as address:
        printed = shortlist("search", query, "--address", address, "--timeout-seconds", 60)
        [first] = [line for line in printed.splitlines() if line.startswith("│ 1 ")]
        assert title in first
        with Client(address, timeout_seconds=60) as client:
            response = client.batch_get_items([item["item_id"] for item in made.items])
    assert list(map(served_values, response.items)) == list(map(expected_values, made.items))


def served_values(message: Any) -> dict[str, Any]:
    values = {field.name: value for field, value in message.ListFields()}
    values["identifiers"] = list(message.identifiers)
    values["categories"] = list(message.categories)
    values["attributes"] = {name: [text] for name, text in message.attributes.items()} | {
        name: list(several.values) for name, several in message.attribute_values.items()
    }
    values.pop("attribute_values", None)
    return values


def expected_values(item: Mapping[str, Any]) -> dict[str, Any]:
    attributes: dict[str, list[str]] = {}
    for name, text in item.get("attributes", ()):
        attributes.setdefault(name, []).append(text)
    single = [item["category"]] if "category" in item else []
    lists = {"identifiers": [], "categories": single}
    return {**lists, **item, "attributes": attributes}


@pytest.mark.parametrize("name", EXPORTS if ALL else ["merchant-tsv"])
@pytest.mark.slow
def test_five_commands_lead_from_an_export_to_a_search(name, tmp_path, flags, compilation_cache):
    made, out, data = EXPORTS[name], tmp_path / "out", tmp_path / "my-shop"
    folder = write(tmp_path / "export", made)
    if name == "merchant-tsv":
        (folder / "judgments.csv").write_text(GRADES)
    shortlist("import", folder, "--out", data, *import_flags(made, tmp_path))
    assert "no errors" in shortlist("validate", "--data", data)
    shortlist("train", "--data", data, *flags(out))
    if name == "merchant-tsv":
        towers = json.loads((out / "steps" / "towers" / "step.json").read_text())
        assert towers["report"]["pairs"] > 0
        assert (out / "bundle" / "rerank").is_dir() == ALL
        assert (out / "evaluation.json").is_file()
    check_served(made, out / "bundle", compilation_cache)


WITHOUT_OPTIONS = [name for name, made in EXPORTS.items() if not (made.options or made.mapping)]


@pytest.mark.parametrize("name", WITHOUT_OPTIONS if ALL else ["merchant-atom"])
@pytest.mark.slow
def test_two_commands_lead_from_an_export_to_a_server(name, tmp_path, flags, compilation_cache):
    made, out = EXPORTS[name], tmp_path / "out"
    shortlist("train", "--from", write(tmp_path / "export", made), *flags(out))
    check_served(made, out / "bundle", compilation_cache)
