"""The benchmark commands in the documentation and in docstrings parse; nothing is measured."""

import importlib
import re
import shlex
from dataclasses import MISSING, fields, is_dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import tyro

from bench.__main__ import MEASUREMENTS, BenchConfig, chosen
from bench.report.pages import pages

ROOT = Path(__file__).resolve().parents[2]
_COMMAND = re.compile(r"python -m (bench[\w.]*)(.*)")
_MAKE = re.compile(r'make bench ARGS="([^"]*)"')


def snippets(page: Path) -> list[str]:
    """Return the lines of code and the spans of code of a page; a span may continue on a line."""
    text = page.read_text("utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S))
    joined = [block.replace("\\\n", " ") for block in blocks]  # lines that end with a backslash
    lines = [line.partition(" #")[0] for block in joined for line in block.splitlines()]
    return lines + [span.replace("\n", " ") for span in spans]


def commands() -> list[object]:
    """Return the module and the arguments of each benchmark command in pages and docstrings."""
    found = [(page, text) for page in pages() for text in snippets(page)]
    for path in sorted((ROOT / "bench").rglob("*.py")):
        text = path.read_text("utf-8").replace("\\\n", " ")
        lines = re.findall(r"^    (python -m bench.*)$", text, re.MULTILINE)
        found += [(path, line) for line in lines if "…" not in line and "[" not in line]
    return [
        pytest.param(match[1], shlex.split(match[2]), id=f"{path.relative_to(ROOT)}: {match[0]}")
        for path, text in found
        if (match := _COMMAND.search(text))
    ]


def config_of(module: str) -> Any:
    """Return the class of the options of a benchmark command."""
    spec = find_spec(module)
    assert spec is not None, f"no module {module}"
    name = f"{module}.__main__" if spec.submodule_search_locations else module
    values = vars(importlib.import_module(name)).values()
    [config] = [
        value
        for value in values
        if is_dataclass(value) and value.__module__ == name and value.__name__.endswith("Config")
    ]
    return config


@pytest.mark.parametrize(("module", "words"), commands())
def test_documented_benchmark_commands_parse(module: str, words: list[str]) -> None:
    config = config_of(module)
    # A command in the running text may leave out required options, such as --bundle.
    left_out = [
        f"--{field.name.replace('_', '-')}"
        for field in fields(config)
        if field.default is MISSING
        and field.default_factory is MISSING
        and "Positional" not in str(field.type)
    ]
    given = [word for word in words if word.startswith("--")]
    missing = [word for option in left_out if option not in given for word in (option, "x")]
    parsed = tyro.cli(config, args=[*words, *missing])
    if isinstance(parsed, BenchConfig):
        assert chosen(parsed.only)


def test_rows_named_in_documented_make_commands_exist() -> None:
    texts = [match[1] for page in pages() for match in _MAKE.finditer(page.read_text("utf-8"))]
    assert texts
    for text in texts:
        words = shlex.split(text.replace("\n", " "))
        assert chosen(tyro.cli(BenchConfig, args=words).only)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_benchmark_modules_named_in_a_page_exist(page: Path) -> None:
    for module in re.findall(r"\bbench(?:\.[a-z]\w*)+", page.read_text("utf-8")):
        assert find_spec(module) is not None, module


def test_a_pattern_without_a_row_is_refused() -> None:
    with pytest.raises(SystemExit, match=r"--only nothing\* matches none of encode, rerank"):
        chosen(("encode", "nothing*"))


def test_rows_have_distinct_names_and_modules_that_exist() -> None:
    names = [measurement.name for measurement in MEASUREMENTS]
    assert len(set(names)) == len(names)
    assert all(find_spec(measurement.module) for measurement in MEASUREMENTS)
