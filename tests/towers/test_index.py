import json
import sys
from pathlib import Path

import numpy as np
import pytest

from catalog.errors import InputError
from towers import index as module
from towers.exact import ExactIndex
from towers.index import (
    Effort,
    IndexConfig,
    ScannIndex,
    VectorIndex,
    build_index,
    create_vectors,
    index_stored,
    open_index,
    open_vectors,
    recall_against_exact,
)

needs_scann = pytest.mark.skipif(sys.platform != "linux", reason="ScaNN has wheels for Linux only")


def unit(rows: int, dim: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """2,000 items in 50 clusters, as products come."""
    centres, spread = unit(50, 32, seed=1), unit(2_000, 32, seed=2)
    vectors = np.repeat(centres, 40, axis=0) + 0.6 * spread
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def queries() -> np.ndarray:
    return unit(70, 32, seed=3)


def test_an_index_opens_from_its_files_and_never_unpickles(vectors, queries, tmp_path):
    built = build_index(vectors, tmp_path, IndexConfig(), queries)
    assert isinstance(built, VectorIndex)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"vectors.npy", "index.json", "queries.npy"}
    assert json.loads((tmp_path / "index.json").read_text())["kind"] == "exact"  # below 20,000
    np.testing.assert_array_equal(open_vectors(tmp_path), vectors)
    for found, expected in zip(
        open_index(tmp_path).search(queries, 5), built.search(queries, 5), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    np.save(tmp_path / "vectors.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    for opening in (open_index, open_vectors):
        with pytest.raises(ValueError, match=r"allow_pickle|Python objects"):
            opening(tmp_path)


def test_recall_is_the_share_of_true_neighbours_that_are_found(vectors, queries):
    class Half:
        """Finds every other neighbour and, in place of the rest, items of no use."""

        def search(self, queries, k):
            rows, scores = ExactIndex(vectors).search(queries, len(vectors))
            rows[:, 1:k:2] = rows[:, -(k // 2) :]
            return rows[:, :k], scores[:, :k]

        def warm_up(self, k):
            pass

        def report(self):
            return {}

    assert recall_against_exact(ExactIndex(vectors), vectors, queries, (10,)) == {10: 1}
    assert recall_against_exact(Half(), vectors, queries, (10,)) == {10: 0.5}


@needs_scann
def test_scann_scans_quantised_vectors_and_finds_nearly_all(vectors, queries, tmp_path):
    built = build_index(vectors, tmp_path, IndexConfig(kind="scann", depth=100), queries)
    assert json.loads((tmp_path / "index.json").read_text())["leaves"] == 0
    assert recall_against_exact(built, vectors, queries, (100,))[100] > 0.98
    names = {path.name for path in tmp_path.iterdir()}
    assert "vectors.npy" in names
    assert not [name for name in names if "docid" in name or name.endswith((".pkl", ".pickle"))]
    np.testing.assert_array_equal(open_vectors(tmp_path), vectors)

    opened = open_index(tmp_path)
    rows, scores = opened.search(queries, 100)
    np.testing.assert_array_equal(rows, built.search(queries, 100)[0])
    assert (rows.dtype, scores.dtype) == (np.int32, np.float32)
    assert (np.diff(scores, axis=1) <= 0).all()
    cosines = np.take_along_axis(queries @ vectors.T, rows, axis=1)
    np.testing.assert_allclose(scores, cosines, atol=1e-5)  # rescored with full vectors


@needs_scann
def test_an_index_of_a_mapped_file_is_that_of_the_array(vectors, queries, tmp_path):
    np.save(tmp_path / "given.npy", vectors)
    stored = tmp_path / "stored"
    stored.mkdir()
    create_vectors(stored, *vectors.shape)[:] = vectors
    given = {"array": vectors, "mapped": np.load(tmp_path / "given.npy", mmap_mode="r")}
    config = IndexConfig(kind="scann", depth=10)
    index_stored(stored, config, queries)
    for name, value in given.items():
        (tmp_path / name).mkdir()
        build_index(value, tmp_path / name, config, queries)
    files = [
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("stored", *given)
    ]
    assert {"vectors.npy", "hashed_dataset.npy", "index.json"} <= set(files[0])
    assert files[0] == files[1] == files[2]


@needs_scann
def test_scann_gives_everything_when_asked_for_more_than_there_is(vectors, queries, tmp_path):
    built = build_index(vectors, tmp_path, IndexConfig(kind="scann"), queries)
    for k in (2_000, 5_000):
        rows, scores = built.search(queries[:2], k)
        assert [sorted(found) for found in rows.tolist()] == [list(range(2_000))] * 2
        assert np.isfinite(scores).all()


@needs_scann
def test_a_tree_visits_all_leaves_when_few_hold_too_little(vectors, queries, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "TREE_FROM", 1_000)
    config = IndexConfig(kind="scann", depth=10, recall_target=0.4)
    built = build_index(vectors, tmp_path, config, queries)
    values = json.loads((tmp_path / "index.json").read_text())
    assert values["leaves"] == 134  # 3√2000
    assert values["effort"]["leaves"] < 40
    # The leaves that are visited hold a few hundred items.
    for k in (1_000, 2_000, 2_001):
        rows, scores = built.search(queries[:5], k)
        assert rows.shape == (5, min(k, 2_000))
        assert all(len(set(found)) == len(found) for found in rows.tolist())
        assert np.isfinite(scores).all()


def scann_of(vectors: np.ndarray, directory: Path, leaves: int) -> ScannIndex:
    """A ScaNN index of some vectors, without an effort that was chosen."""
    np.save(directory / "vectors.npy", vectors)
    module._build_scann(directory, IndexConfig(kind="scann", depth=10), leaves)
    return module._open_scann(directory, len(vectors), leaves, Effort(1.0, 0, leaves))


@needs_scann
@pytest.mark.parametrize("tree", [False, True])
def test_an_index_looks_at_no_more_than_its_recall_target_takes(vectors, queries, tmp_path, tree):
    leaves = 134 if tree else 0
    index = scann_of(vectors, tmp_path, leaves)
    looked_at = []
    for target in (0.5, 0.9, 0.99):  # on one index: ScaNN partitions a little differently each time
        config = IndexConfig(kind="scann", depth=10, recall_target=target)
        index.effort = module._least_effort(index, vectors, queries, config)
        assert recall_against_exact(index, vectors, queries, (10,))[10] >= target
        looked_at.append(index.effort.leaves * 4_000 / 134 + 20 * index.effort.candidates(10))
    assert looked_at == sorted(looked_at)
    assert looked_at[0] < looked_at[-1]


@needs_scann
def test_a_target_out_of_reach_is_said(vectors, queries, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(module, "_REORDERS", (1.0,))
    config = IndexConfig(kind="scann", depth=10, recall_target=1.0)
    index = scann_of(vectors, tmp_path, 0)
    assert module._least_effort(index, vectors, queries, config) == Effort(1.0, 10, 0)
    assert "the recall target is 1: searches will look at all they can" in caplog.text


@needs_scann
def test_an_index_of_an_earlier_version_is_refused(vectors, queries, tmp_path):
    build_index(vectors, tmp_path, IndexConfig(kind="scann"), queries)
    (tmp_path / "index.json").write_text(json.dumps({"kind": "scann", "items": 2_000, "leaves": 0}))
    with pytest.raises(InputError, match="earlier version"):
        open_index(tmp_path)


@pytest.mark.parametrize(
    ("items", "kind"), [(19_999, "exact"), (20_000, "scann"), (100_000, "scann")]
)
def test_the_kind_of_index_goes_by_the_number_of_items(items, kind, monkeypatch):
    monkeypatch.setattr(module, "_has_scann", lambda: True)
    assert module._resolve_kind("auto", items) == kind
    monkeypatch.setattr(module, "_has_scann", lambda: False)
    assert module._resolve_kind("auto", items) == "exact"


def test_where_scann_has_no_wheel_the_message_says_what_to_do(vectors, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_has_scann", lambda: False)
    with pytest.raises(InputError, match=r"--index\.kind exact"):
        build_index(vectors, tmp_path, IndexConfig(kind="scann"), vectors[:1])
    (tmp_path / "index.json").write_text('{"kind": "scann"}')
    with pytest.raises(InputError, match="Linux only"):
        open_index(tmp_path)


def test_a_pickle_beside_a_scann_index_is_never_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_has_scann", lambda: True)
    (tmp_path / "index.json").write_text('{"kind": "scann"}')
    (tmp_path / "scann_docids.pkl").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(InputError, match=r"scann_docids\.pkl is a pickle"):
        open_index(tmp_path)


@pytest.mark.parametrize("options", [{"recall_target": 0.0}, {"recall_target": 1.5}, {"depth": 0}])
def test_a_search_that_would_look_at_nothing_is_refused(options):
    with pytest.raises(InputError, match=next(iter(options))):
        IndexConfig(**options)


@pytest.mark.parametrize("kind", ["exact", pytest.param("scann", marks=needs_scann)])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_vectors_that_are_not_finite_are_refused_by_their_row(
    vectors, queries, tmp_path, monkeypatch, kind, value
):
    monkeypatch.setattr("towers.exact.BLOCK", 300)
    broken, asked = vectors.copy(), queries.copy()
    broken[700, 3] = broken[1_999] = asked[5, 0] = value
    for given, tuned, row in ((broken, queries, "item .* row 700"), (vectors, asked, "query .* 5")):
        with pytest.raises(InputError, match=f"the {row} is not finite"):
            build_index(given, tmp_path, IndexConfig(kind=kind), tuned)
        assert not (tmp_path / "index.json").exists()
