"""Vectors of written items, with an encoder that fails on some of the items."""

import numpy as np
import pytest
from flax import nnx

from base.errors import InputError
from bert.numerics import Numerics
from catalog.items import Item
from live.indexing.item_vectors import item_vectors
from tests.tiny import break_word, tiny_bert
from towers.encoder import TowerEncoder
from towers.model import Towers, TowersConfig

ITEMS = [Item(str(number), f"lamp {number}") for number in range(6)]
CURSED = [Item("7", "a cursed lamp"), Item("8", "the cursed chair")]


@pytest.fixture
def towers(tokenizer) -> Towers:
    config = TowersConfig(dim=8, max_query_tokens=16, max_item_tokens=16)
    return Towers(config, tiny_bert(tokenizer), rngs=nnx.Rngs(0))


def encoder_of(towers: Towers, tokenizer) -> TowerEncoder:
    return TowerEncoder(towers, tokenizer, Numerics("float32", "tests"))


def test_an_item_whose_vector_is_not_finite_cannot_be_encoded(towers, tokenizer):
    expected = encoder_of(towers, tokenizer).items([item.title for item in ITEMS])
    break_word(towers, tokenizer, "cursed")
    items = [*ITEMS[:2], CURSED[0], *ITEMS[2:], CURSED[1]]
    vectors, failed = item_vectors(encoder_of(towers, tokenizer), items, [])
    assert failed == [2, 7]
    np.testing.assert_allclose(np.delete(vectors, failed, axis=0), expected, rtol=0, atol=1e-5)


def test_an_encoder_that_makes_no_finite_vector_raises(towers, tokenizer):
    towers.item_projection[...] = np.nan * towers.item_projection[...]
    with pytest.raises(InputError, match="the item tower gives a vector that is not finite"):
        item_vectors(encoder_of(towers, tokenizer), ITEMS, [])
