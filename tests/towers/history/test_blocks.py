"""The blocks of items: those of an item's own, and means of those of similar items."""

from dataclasses import replace

import numpy as np
import pytest

from base.errors import InputError
from behaviour.models.arrays import write_arrays
from tests.towers.history.examples import unit_vectors
from towers.history.blocks import BLOCKS_FILE, NEIGHBOURS, ItemBlocks, neighbours
from towers.history.model import HistoryConfig

CONFIG = HistoryConfig(items=0, text_dim=8, residual_dim=3, moment_dim=2)
RESULT = np.arange(12, dtype=np.float32).reshape(2, 6)
TEXT = unit_vectors(5)
OWN = np.array([1, 3], np.int32)


def blocks(text=TEXT) -> ItemBlocks:
    return ItemBlocks.of(OWN, RESULT, -RESULT, text)


def test_own_items_have_their_own_blocks_and_others_a_weighted_mean():
    text = unit_vectors(5)
    text[0] = (text[1] + 0.5 * text[3]) / np.linalg.norm(text[1] + 0.5 * text[3])
    made = blocks(text)
    np.testing.assert_array_equal(made.results(OWN), RESULT)
    np.testing.assert_array_equal(made.events(OWN), -RESULT)
    weights = np.maximum(text[0] @ text[OWN].T, 0) ** 8
    [mean] = made.results(np.array([0]))
    expected = 0.6 * weights / weights.sum() @ RESULT
    np.testing.assert_allclose(made.events(np.array([0]))[0], -expected, rtol=1e-5)
    expected[-1] += 0.8
    np.testing.assert_allclose(mean, expected, rtol=1e-5)


def test_only_the_nearest_own_items_have_weights():
    own = unit_vectors(50, seed=1)
    near, weights = neighbours(unit_vectors(3), own)
    cosines = unit_vectors(3) @ own.T
    for row in range(3):
        assert set(near[row]) == set(np.argsort(-cosines[row])[:NEIGHBOURS])
    np.testing.assert_allclose(weights.sum(axis=1), 0.6, rtol=1e-5)


def test_without_own_items_all_blocks_are_zero():
    nothing = np.zeros((0, 6), np.float32)
    made = ItemBlocks.of(np.zeros(0, np.int32), nothing, nothing, unit_vectors(5))
    assert not made.events(np.arange(5)).any()
    assert not made.results(np.arange(5))[:, :-1].any()


def test_saved_blocks_are_the_same(tmp_path):
    blocks().save(tmp_path)
    loaded = ItemBlocks.open(tmp_path, CONFIG, 5)
    for name, array in vars(blocks()).items():
        np.testing.assert_array_equal(getattr(loaded, name), array)


def test_a_file_of_other_items_or_with_damaged_rows_is_refused(tmp_path):
    blocks().save(tmp_path)
    with pytest.raises(InputError, match=r"blocks.npz cannot be read: near has the shape"):
        ItemBlocks.open(tmp_path, CONFIG, 6)
    with pytest.raises(InputError, match=r"blocks.npz cannot be read: as_result has the shape"):
        ItemBlocks.open(tmp_path, replace(CONFIG, residual_dim=4), 5)
    sound = vars(blocks())
    for damage in (
        {"near": sound["near"] + 2},
        {"near": sound["near"].astype(np.float32)},
        {"own": OWN + 2},
        {"own": OWN * 0},
    ):
        write_arrays(tmp_path / BLOCKS_FILE, {**sound, **damage})
        with pytest.raises(InputError, match=r"its rows are not those of 5 items"):
            ItemBlocks.open(tmp_path, CONFIG, 5)
