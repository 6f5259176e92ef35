import ctypes
import json
import math
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from base.errors import InputError
from bench.index.ours import build_index
from bert.numerics import cpu_flags
from tests.towers.examples import needs_scann, unit
from towers import scann
from towers.index import (
    IndexConfig,
    open_index,
    recall_against_exact,
)
from towers.scann import Effort, ScannIndex, build_scann, least_effort, open_scann
from towers.vectors import open_vectors


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
    np.testing.assert_allclose(scores, cosines, atol=1e-5)  # scores come from the full vectors


@needs_scann
def test_scann_gives_everything_when_asked_for_more_than_there_is(vectors, queries, tmp_path):
    built = build_index(vectors, tmp_path, IndexConfig(kind="scann"), queries)
    for k in (2_000, 5_000):
        rows, scores = built.search(queries[:2], k)
        assert [sorted(found) for found in rows.tolist()] == [list(range(2_000))] * 2
        assert np.isfinite(scores).all()


@needs_scann
def test_a_tree_visits_all_leaves_when_few_hold_too_little(tmp_path):
    vectors, queries = unit(100_000, 8, seed=1), unit(20, 8, seed=2)
    config = IndexConfig(kind="scann", depth=10, recall_target=0.4)
    built = build_index(vectors, tmp_path, config, queries)
    values = json.loads((tmp_path / "index.json").read_text())
    assert values["leaves"] == 949  # 3√100,000, rounded
    assert values["effort"]["leaves"] < 20
    # With this effort, a search visits leaves that hold a few thousand items, fewer than k.
    for k in (20_000, 100_000, 100_001):
        rows, scores = built.search(queries[:2], k)
        assert rows.shape == (2, min(k, 100_000))
        assert all(len(set(found)) == len(found) for found in rows.tolist())
        assert np.isfinite(scores).all()


def scann_of(vectors: np.ndarray, directory: Path, leaves: int) -> ScannIndex:
    """Build a ScaNN index whose searches visit all leaves."""
    build_scann(directory, vectors, 10, leaves)
    return open_scann(directory, vectors, leaves, Effort(1.0, 0, leaves))


@needs_scann
@pytest.mark.parametrize("tree", [False, True])
def test_an_index_looks_at_no_more_than_its_recall_target_takes(vectors, queries, tmp_path, tree):
    leaves = 134 if tree else 0
    index = scann_of(vectors, tmp_path, leaves)
    looked_at = []
    # All targets use the same index, because two builds differ a little.
    for target in (0.5, 0.9, 0.99):
        index.effort = least_effort(index, vectors, queries, 10, target)
        assert recall_against_exact(index, vectors, queries, (10,))[10] >= target
        looked_at.append(index.effort.leaves * 4_000 / 134 + 20 * index.effort.candidates(10))
    assert looked_at == sorted(looked_at)
    assert looked_at[0] < looked_at[-1]


def recalls(index: ScannIndex, vectors: np.ndarray, queries: np.ndarray, effort: Effort):
    """Return each query's share of the 10 nearest items that a search with this effort finds."""
    index.effort = effort
    nearest = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    found, _ = index.search(queries, 10)
    return np.array([len(set(a) & set(b)) / 10 for a, b in zip(nearest, found, strict=True)])


@needs_scann
def test_a_step_less_of_either_would_miss_the_target(vectors, tmp_path):
    index, queries = scann_of(vectors, tmp_path, 134), unit(300, 32, seed=5)
    effort = least_effort(index, vectors, queries, 10, 0.9)
    steps, times = scann._ladder(134), scann._REORDERS
    partitions = steps[steps.index(effort.leaves) - 1]
    fewer = times[times.index(effort.reorder) - 1]
    reached = []
    for each in (
        effort,
        replace(effort, leaves=partitions),
        Effort(fewer, math.ceil(10 * fewer), effort.leaves),
    ):
        shares = recalls(index, vectors, queries, each)
        reached.append(shares.mean() - shares.std() / 300**0.5)
    assert reached[0] >= 0.9 > max(reached[1:])


@needs_scann
def test_queries_that_an_effort_was_not_chosen_on_reach_the_target_too(vectors, tmp_path):
    index = scann_of(vectors, tmp_path, 134)
    tuned, others = unit(300, 32, seed=5), unit(300, 32, seed=6)
    for target in (0.8, 0.95):
        effort = least_effort(index, vectors, tuned, 10, target)
        # The margin of 0.02 allows for differences between two builds of the tree.
        assert recalls(index, vectors, others, effort).mean() >= target - 0.02


@needs_scann
def test_queries_are_answered_alike_by_themselves_and_together(vectors, queries, tmp_path):
    index = scann_of(vectors, tmp_path, 134)
    index.effort = Effort(2.0, 20, 40)
    rows, scores = index.search(queries, 10)
    for at, query in enumerate(queries):
        alone, theirs = index.search(query[None], 10)
        np.testing.assert_array_equal(alone[0], rows[at])
        np.testing.assert_array_equal(theirs[0], scores[at])
    assert [found.shape for found in index.search(queries[:0], 10)] == [(0, 10), (0, 10)]


@needs_scann
@pytest.mark.skipif(not {"avx2", "fma"} <= cpu_flags(), reason="the processor has no AVX2")
def test_scann_multiplies_with_the_units_that_the_processor_has(vectors, tmp_path):
    scann_of(vectors, tmp_path, 0)
    import scann_pybind

    assert ctypes.c_bool.in_dll(ctypes.CDLL(scann_pybind.__file__), scann._AVX2).value


@needs_scann
def test_a_target_out_of_reach_is_said(vectors, queries, tmp_path, caplog):
    index = scann_of(vectors, tmp_path, 0)
    effort = least_effort(index, vectors, queries, 10, 1.0, reorders=(1.0,))
    assert effort == Effort(1.0, 10, 0)
    assert re.search(r"the greatest effort: depth=10 recall=0\.\d{4} target=1\n", caplog.text)


def test_where_scann_has_no_wheel_the_message_says_what_to_do(vectors, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "scann", None)
    with pytest.raises(InputError, match=r"--index\.kind exact"):
        build_index(vectors, tmp_path, IndexConfig(kind="scann"), vectors[:1])
    (tmp_path / "index.json").write_text('{"kind": "scann"}')
    with pytest.raises(InputError, match="Linux only"):
        open_index(tmp_path)


@needs_scann
def test_a_pickle_beside_a_scann_index_is_never_opened(vectors, queries, tmp_path):
    build_index(vectors, tmp_path, IndexConfig(kind="scann"), queries)
    (tmp_path / "scann_docids.pkl").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(InputError, match=r"scann_docids\.pkl is a pickle"):
        open_index(tmp_path)


@needs_scann
@pytest.mark.parametrize("name", ["/dev/zero", "../../pipe", "/tmp/hashed_dataset.npy"])
def test_an_index_that_names_files_elsewhere_is_refused(vectors, tmp_path, name):
    scann_of(vectors, tmp_path, 0)
    path = tmp_path / "scann_assets.pbtxt"
    path.write_text(path.read_text().replace("hashed_dataset.npy", name))
    with pytest.raises(InputError, match="is no list of files in its directory"):
        open_scann(tmp_path, vectors, 0, Effort(1.0, 0, 0))


@needs_scann
def test_an_array_of_an_index_must_have_the_size_of_its_header(vectors, tmp_path):
    scann_of(vectors, tmp_path, 0)
    path = tmp_path / "hashed_dataset.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"hashed_dataset\.npy cannot be read: its header claims"):
        open_scann(tmp_path, vectors, 0, Effort(1.0, 0, 0))


@needs_scann
def test_an_effort_reads_no_more_candidates_than_there_are(vectors, queries, tmp_path):
    index = scann_of(vectors, tmp_path, 0)
    assert len(index.candidates(queries[0], 10, Effort(1.0, 10**12, 0))) == len(vectors)
