import jax
import numpy as np
import pytest
from flax import nnx

from bert.batch import mean_pool, mean_pool_packed
from bert.packing import pack, rows_needed
from bert.tokens import Framed, Ragged


def framed_of(*rows: list[int], first_lengths=None) -> Framed:
    ids = Ragged.of(rows)
    return Framed(ids, ids.lengths if first_lengths is None else np.array(first_lengths), pad_id=0)


def test_texts_are_laid_longest_first_into_the_first_row_with_room():
    framed = framed_of([1, 2], [3, 4, 5, 6], [9], [7, 8, 9], first_lengths=[2, 4, 1, 2])
    packed = pack(framed, [0, 1, 3], rows=3, length=5)  # 4 | 3 + 2 | nothing
    assert packed.ids.tolist() == [[3, 4, 5, 6, 0], [7, 8, 9, 1, 2], [0] * 5]
    assert packed.texts.tolist() == [[1, 1, 1, 1, -1], [2, 2, 2, 0, 0], [-1] * 5]
    assert packed.positions.tolist() == [[0, 1, 2, 3, 0], [0, 1, 2, 0, 1], [0] * 5]
    assert packed.types.tolist() == [[0] * 5, [0, 0, 1, 0, 0], [0] * 5]
    assert packed.starts.tolist() == [8, 0, 5]
    assert rows_needed(framed.lengths, 5) == 2  # 4 + 1 | 3 + 2


def test_what_does_not_fit_is_refused():
    framed = framed_of([1, 2, 3], [4, 5, 6])
    with pytest.raises(ValueError, match="texts need 2 rows of 4 tokens, not 1"):
        pack(framed, [0, 1], rows=1, length=4)
    with pytest.raises(ValueError, match="a text of 3 tokens does not fit a row of 2"):
        pack(framed, [0], rows=1, length=2)


def test_packed_texts_are_encoded_as_if_alone(tiny):
    random = np.random.default_rng(0)
    lengths = [5, 12, 3, 7, 1, 9]
    framed = framed_of(
        *(random.integers(1, 50, length).tolist() for length in lengths),
        first_lengths=[(length + 1) // 2 for length in lengths],
    )
    graphdef, state = nnx.split(tiny)

    @jax.jit
    def together(state, packed):
        bert = nnx.merge(graphdef, state)
        return mean_pool_packed(bert(packed), packed), bert.first(packed)

    @jax.jit
    def alone(state, tokens):
        hidden = nnx.merge(graphdef, state)(tokens)
        return mean_pool(hidden, tokens.mask), hidden[:, 0]

    rows = range(len(lengths))
    packed = together(state, pack(framed, rows, rows=4, length=14))
    for ours, theirs in zip(packed, alone(state, framed.pad(rows, 12, 6)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)
