"""The client code of the documentation, and the latency benchmark, with a real server."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.service import latency
from server.config import ServerConfig
from tests.server.conftest import run_server

ROOT = Path(__file__).resolve().parents[2]


def test_the_readme_s_python_client_does_what_it_shows(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    [example] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
    assert "127.0.0.1:50051" in example
    program = example.replace("127.0.0.1:50051", address).replace("=2.0", "=30.0")
    values: dict[str, Any] = {}
    exec(compile(program, "README.md", "exec"), values)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:5]] == ["1", "2", "3", "4", "5"]
    assert [line.split()[0] for line in lines[5:9]] == ["encode", "recall", "features", "rerank"]
    assert lines[9:] == ["INVALID_ARGUMENT ['query']"]
    response, reranked = values["response"], values["reranked"]
    ids = [result.item_id for result in response.results]
    again = [result.item_id for result in reranked.results]
    assert sorted(again) == sorted(ids)


def test_the_filters_and_facets_of_the_docs_do_what_they_show(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "docs" / "serving.md").read_text("utf-8")
    section = text[text.index("## Filters and facets") :]
    example, *_ = re.findall(r"```python\n(.*?)```", section, re.S)
    program = example.replace("127.0.0.1:50051", address).replace("=2.0", "=30.0")
    exec(compile(program, "serving.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    # The filter keeps prices from 10 to 50: sizes 1 to 30. Sizes 15 and 30 are out of stock.
    assert lines[0] == "12 match"
    assert lines[1] == "brand [('Voltix', 4), ('Ampere', 4), ('Ohm & Co', 4)] []"
    assert lines[2] == "price [] [9]"
    assert lines[3].startswith("['Ch-10-")
    assert len(lines) == 4


def test_the_streamed_search_of_the_docs_does_what_it_shows(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "docs" / "serving.md").read_text("utf-8")
    section = text[text.index("**Two answers.**") : text.index("## Deadlines")]
    [example] = re.findall(r"```python\n(.*?)```", section, re.S)
    program = example.replace("127.0.0.1:50051", address).replace("=2.0", "=30.0")
    exec(compile(program, "serving.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["False", "True"]


def test_the_bench_measures_both_methods_and_states_what_was_measured(
    address: str,
    tiny_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    queries = tmp_path / "queries.txt"
    queries.write_text("usb c charger\n\nhdmi\nusb c charger\n")
    flags = ["--bundle", str(tiny_bundle), "--queries", str(queries), "--address", address]
    more = ["--calls", "4", "--warm-up", "1", "--rerank-depth", "7"]
    assert latency.main([*flags, *more]) == 0
    printed = capsys.readouterr().out
    milliseconds = r"p50 [\d,.]+ ms, p95 [\d,.]+ ms"
    assert re.search(rf"Search +{milliseconds} \(4 calls, recalled 48, reranked 7", printed)
    assert re.search(rf"Retrieve +{milliseconds} \(4 calls, 48 results", printed)
    assert "2 distinct queries" in printed
    assert "query 16, item 24, query with item 32" in printed
    assert "encoder layers: towers 1, reranker 1" in printed


def test_the_bench_refuses_another_bundle_than_the_one_served(
    address: str,
    recall_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    queries = tmp_path / "queries.txt"
    queries.write_text("usb c charger\n")
    flags = ["--bundle", str(recall_bundle), "--queries", str(queries), "--address", address]
    assert latency.main(flags) == 2
    assert "serves bundle" in capsys.readouterr().err


def test_the_events_of_the_docs_are_recorded(
    config: ServerConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [example] = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "feedback.md").read_text("utf-8"), re.S
    )
    with run_server(replace(config, state=tmp_path)) as running:
        program = example.replace("127.0.0.1:50051", running.address).replace("=2.0", "=30.0")
        exec(compile(program, "feedback.md", "exec"), {})
        assert capsys.readouterr().out == "11 new, 0 known\n"
        feedback = running.service.feedback
        assert feedback is not None
        assert feedback.sequence == 11
        assert len(feedback.histories.of(None, "visit-81")) == 1
