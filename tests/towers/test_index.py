import json
import sys

import numpy as np
import pytest

from base.errors import InputError
from bench.index.ours import build_index
from tests.towers.examples import needs_scann
from towers import index as module
from towers.exact import ExactIndex
from towers.index import (
    IndexConfig,
    VectorIndex,
    index_config,
    open_index,
    recall_against_exact,
)
from towers.vectors import open_vectors


def test_an_index_opens_from_its_files_and_never_unpickles(vectors, queries, tmp_path):
    built = build_index(vectors, tmp_path, IndexConfig(), queries)
    assert isinstance(built, VectorIndex)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"vectors.npy", "index.json", "queries.npy"}
    # An index of fewer than 20,000 items is exact by default.
    assert json.loads((tmp_path / "index.json").read_text())["kind"] == "exact"
    np.testing.assert_array_equal(open_vectors(tmp_path), vectors)
    for found, expected in zip(
        open_index(tmp_path).search(queries, 5), built.search(queries, 5), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    np.save(tmp_path / "vectors.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    for opening in (open_index, open_vectors):
        with pytest.raises(InputError, match="it is not a NumPy array"):
            opening(tmp_path)


def test_recall_is_the_share_of_true_neighbours_that_are_found(vectors, queries):
    class Half:
        """An index that replaces every second of the nearest items by a far item."""

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


@pytest.mark.parametrize("kind", ["exact", pytest.param("scann", marks=needs_scann)])
# bfloat16 numbers have a relative error of at most 2^-9, so a cosine of unit vectors is off by at
# most 2^-9. The numbers of an int8 vector have an error of at most a 254th of its greatest number.
@pytest.mark.parametrize(("stored", "error"), [("bfloat16", 2**-9), ("int8", 1 / 100)])
def test_compressed_vectors_answer_as_float32_to_rounding(
    vectors, queries, tmp_path, kind, stored, error
):
    (tmp_path / "index").mkdir()
    config = IndexConfig(kind, depth=10, vectors=stored)
    built = build_index(vectors, tmp_path / "index", config, queries)
    assert index_config(tmp_path / "index") == config
    rows, scores = built.search(queries, 10)
    for found, expected in zip(
        open_index(tmp_path / "index").search(queries, 10), (rows, scores), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    cosines = np.take_along_axis(queries @ vectors.T, rows, axis=1)
    np.testing.assert_allclose(scores, cosines, rtol=0, atol=error)
    # Recall counts the nearest items by float32 vectors.
    assert recall_against_exact(built, vectors, queries, (10,))[10] > 0.97
    names = {path.name for path in (tmp_path / "index").iterdir()}
    scann = {"serialized_partitioner.pb", "datapoint_to_token.npy", "ah_codebook.pb"}
    assert names - scann >= {"vectors.npy", "index.json", "queries.npy"}


def test_an_index_of_before_there_was_a_choice_has_float32_vectors(vectors, queries, tmp_path):
    build_index(vectors, tmp_path, IndexConfig(), queries)
    values = json.loads((tmp_path / "index.json").read_text())
    del values["config"]["vectors"]
    (tmp_path / "index.json").write_text(json.dumps(values))
    np.save(tmp_path / "vectors.npy", vectors)
    assert index_config(tmp_path) == IndexConfig()
    np.testing.assert_array_equal(open_vectors(tmp_path), vectors)
    assert open_index(tmp_path).search(queries, 5)[0].shape == (70, 5)


@needs_scann
def test_an_index_of_an_earlier_version_is_refused(vectors, queries, tmp_path):
    build_index(vectors, tmp_path, IndexConfig(kind="scann"), queries)
    (tmp_path / "index.json").write_text(json.dumps({"kind": "scann", "items": 2_000, "leaves": 0}))
    with pytest.raises(InputError, match="earlier version"):
        open_index(tmp_path)


@needs_scann
@pytest.mark.parametrize(
    ("items", "kind"), [(19_999, "exact"), (20_000, "scann"), (100_000, "scann")]
)
def test_the_kind_of_index_goes_by_the_number_of_items(items, kind, monkeypatch):
    assert module._resolve_kind("auto", items) == kind
    monkeypatch.setitem(sys.modules, "scann", None)  # as if ScaNN were not installed
    assert module._resolve_kind("auto", items) == "exact"


@pytest.mark.parametrize("options", [{"recall_target": 0.0}, {"recall_target": 1.5}, {"depth": 0}])
def test_a_search_that_would_look_at_nothing_is_refused(options):
    with pytest.raises(InputError, match=next(iter(options))):
        IndexConfig(**options)


@pytest.mark.parametrize("kind", ["exact", pytest.param("scann", marks=needs_scann)])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_vectors_that_are_not_finite_are_refused_by_their_row(
    vectors, queries, tmp_path, kind, value
):
    broken, asked = vectors.copy(), queries.copy()
    broken[700, 3] = broken[1_999] = asked[5, 0] = value
    for given, tuned, row in ((broken, queries, "item .* row 700"), (vectors, asked, "query .* 5")):
        with pytest.raises(InputError, match=f"the {row} is not finite"):
            build_index(given, tmp_path, IndexConfig(kind=kind), tuned)
        assert not (tmp_path / "index.json").exists()
