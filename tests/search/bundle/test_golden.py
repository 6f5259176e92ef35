"""Golden queries: a bundle is refused if its answers changed since it was built."""

import json
import os
import shutil

import pytest

from search import bundle
from search.bundle import BundleError, Manifest, golden, list_files, verify
from search.engine import Engine
from search.request import SearchRequest
from search.result import Hit, SearchResult


class Frozen:
    """Returns the same hits for every query."""

    def __init__(self, *hits: tuple[str, float]) -> None:
        self.hits = tuple(Hit(name, score) for name, score in hits)

    def search(self, request: SearchRequest) -> SearchResult:
        return SearchResult(self.hits[: request.page_size], (), len(self.hits), 0)


def ten(**changes: float) -> Frozen:
    scores = {f"item{n}": 1 - n / 10 for n in range(10)} | changes
    return Frozen(*scores.items())


def test_equal_results_and_small_changes_pass(tmp_path):
    path = tmp_path / "golden.jsonl"
    golden.record(ten(), ["lamp", "Straße 充电器"], path)
    assert [json.loads(line)["query"] for line in path.read_text().splitlines()] == [
        "lamp",
        "Straße 充电器",
    ]
    golden.replay(ten(), path, both_float32=True)
    golden.replay(ten(item3=0.7005), path, both_float32=True)
    golden.replay(ten(item3=0.75), path, both_float32=False)
    with pytest.raises(BundleError, match="moved by nan"):
        golden.replay(ten(item3=float("nan")), path, both_float32=False)


@pytest.mark.parametrize(("same", "moved"), [(True, 0.702), (False, 0.85)])
def test_a_score_that_moved_too_far_is_refused(tmp_path, same, moved):
    golden.record(ten(), ["lamp"], tmp_path / "golden.jsonl")
    with pytest.raises(BundleError, match="line 1: a score moved by"):
        golden.replay(ten(item3=moved), tmp_path / "golden.jsonl", both_float32=same)


@pytest.mark.parametrize(("same", "kept"), [(True, 8), (False, 6)])
def test_results_that_changed_too_much_are_refused(tmp_path, same, kept):
    golden.record(ten(), ["lamp"], tmp_path / "golden.jsonl")
    hits = [(hit.item_id, hit.score) for hit in ten().hits]
    with pytest.raises(BundleError, match=f"only {kept} of 10 results"):
        golden.replay(Frozen(*hits[:kept]), tmp_path / "golden.jsonl", both_float32=same)
    golden.replay(Frozen(*hits[: kept + 1]), tmp_path / "golden.jsonl", both_float32=same)


def test_too_many_golden_queries_are_refused(tmp_path):
    path = tmp_path / "golden.jsonl"
    golden.record(ten(), ["lamp"] * 100, path)
    golden.replay(ten(), path, both_float32=True)
    golden.record(ten(), ["lamp"] * 101, path)
    with pytest.raises(BundleError, match="has 101 queries, and at most 100 are replayed"):
        golden.replay(ten(), path, both_float32=True)
    with path.open("wb") as file:
        file.truncate(2**40)  # a sparse file of one TiB
    with pytest.raises(BundleError, match=r"golden\.jsonl cannot be read: it has 1,099"):
        golden.replay(ten(), path, both_float32=True)


def test_an_engine_refuses_a_bundle_whose_results_changed_since_it_was_built(tiny_bundle, tmp_path):
    directory = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, directory, copy_function=os.link)
    path = directory / bundle.GOLDEN
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[1]["hits"][0][1] += 1
    path.unlink()
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    Manifest.read(directory).with_files(list_files(directory)).write(directory)
    verify(directory)
    with pytest.raises(BundleError, match=r"golden\.jsonl line 2: a score moved by 1"):
        Engine.load(directory)


def test_golden_queries_must_not_be_empty(tiny_bundle, tmp_path):
    directory = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, directory)
    (directory / "golden.jsonl").write_bytes(b"")
    Manifest.read(directory).with_files(list_files(directory)).write(directory)
    with pytest.raises(BundleError, match=r"golden\.jsonl has no queries"):
        Engine.load(directory)
