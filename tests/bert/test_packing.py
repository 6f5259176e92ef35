import jax
import numpy as np
import pytest
from flax import nnx

from bert.batch import mean_pool, mean_pool_packed
from bert.packing import PackedTexts, pack, rows_needed
from bert.tokens import Ragged, Tokenised


def tokenised_of(*rows: list[int], first_lengths=None) -> Tokenised:
    ids = Ragged.of(rows)
    return Tokenised(
        ids, ids.lengths if first_lengths is None else np.array(first_lengths), pad_id=0
    )


def test_texts_are_laid_longest_first_into_the_first_row_with_room():
    tokenised = tokenised_of([1, 2], [3, 4, 5, 6], [9], [7, 8, 9], first_lengths=[2, 4, 1, 2])
    # The first row holds a text of 4 tokens, the second texts of 3 and 2 tokens, the third none.
    packed = pack(tokenised, [0, 1, 3], rows=3, length=5)
    assert packed.ids.tolist() == [[3, 4, 5, 6, 0], [7, 8, 9, 1, 2], [0] * 5]
    assert packed.texts.tolist() == [[1, 1, 1, 1, -1], [2, 2, 2, 0, 0], [-1] * 5]
    assert packed.positions.tolist() == [[0, 1, 2, 3, 0], [0, 1, 2, 0, 1], [0] * 5]
    assert packed.types.tolist() == [[0] * 5, [0, 0, 1, 0, 0], [0] * 5]
    assert packed.starts.tolist() == [8, 0, 5]
    # All four texts fit in two rows, of 4 + 1 and 3 + 2 tokens.
    assert rows_needed(tokenised.lengths, 5) == 2


def test_texts_that_do_not_fit_are_refused():
    tokenised = tokenised_of([1, 2, 3], [4, 5, 6])
    with pytest.raises(ValueError, match="texts need 2 rows of 4 tokens, not 1"):
        pack(tokenised, [0, 1], rows=1, length=4)
    with pytest.raises(ValueError, match="a text of 3 tokens does not fit a row of 2"):
        pack(tokenised, [0], rows=1, length=2)


def test_packed_texts_are_encoded_as_if_alone(tiny):
    random = np.random.default_rng(0)
    lengths = [5, 12, 3, 7, 1, 9]
    tokenised = tokenised_of(
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
    packed = together(state, pack(tokenised, rows, rows=4, length=14))
    for ours, theirs in zip(packed, alone(state, tokenised.pad(rows, 12, 6)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


def test_packed_rows_hold_a_few_texts_each_or_one_long_text():
    tokenised = tokenised_of(
        [1, 2], [3, 4, 5, 6], [9], [7, 8, 9], [1] * 6, first_lengths=[2, 4, 1, 2, 5]
    )
    # The rows hold texts of 4 + 1, 3 + 2 and 6 tokens.
    packed = PackedTexts.of(tokenised, length=5, most=2)
    assert packed.lengths.tolist() == [5, 5, 6]
    assert packed.row.tolist() == [1, 0, 0, 1, 2]
    assert packed.slot.tolist() == [1, 0, 1, 0, 0]
    rows = packed.pad([1, 0], 6, 3)
    assert rows.ids.tolist() == [[7, 8, 9, 1, 2, 0], [3, 4, 5, 6, 9, 0], [0] * 6]
    assert rows.texts.tolist() == [[0, 0, 0, 1, 1, -1], [0, 0, 0, 0, 1, -1], [-1] * 6]
    assert rows.positions.tolist() == [[0, 1, 2, 0, 1, 0], [0, 1, 2, 3, 0, 0], [0] * 6]
    assert rows.types.tolist() == [[0, 0, 1, 0, 0, 0], [0] * 6, [0] * 6]
    assert rows.starts.tolist() == [[0, 3], [0, 4], [0, 0]]
    assert PackedTexts.of(tokenised, length=6, most=1).row.tolist() == [3, 1, 4, 2, 0]


def test_rows_that_do_not_fit_a_batch_are_refused():
    packed = PackedTexts.of(tokenised_of([1, 2, 3], [4, 5, 6]), length=4, most=2)
    with pytest.raises(ValueError, match="2 rows do not fit a batch of 1"):
        packed.pad([0, 1], 4, 1)
    with pytest.raises(ValueError, match="a row of 3 tokens does not fit a length of 2"):
        packed.pad([0], 2, 1)


def test_each_of_many_texts_lies_whole_in_one_row():
    random = np.random.default_rng(0)
    texts = [random.integers(1, 50, length).tolist() for length in random.integers(1, 30, 300)]
    packed = PackedTexts.of(tokenised_of(*texts), length=24, most=3)
    rows = packed.pad(range(len(packed)), 32, len(packed))
    slots = list(zip(packed.row.tolist(), packed.slot.tolist(), strict=True))
    assert [rows.ids[row][rows.texts[row] == slot].tolist() for row, slot in slots] == texts
    assert len(set(slots)) == len(texts)
    assert packed.slot.max() == 2
    assert packed.lengths.sum() == sum(map(len, texts))


def test_first_tokens_in_packed_rows_are_encoded_as_if_alone(tiny):
    random = np.random.default_rng(0)
    lengths = [5, 12, 3, 7, 1, 9, 14]
    tokenised = tokenised_of(
        *(random.integers(1, 50, length).tolist() for length in lengths),
        first_lengths=[(length + 1) // 2 for length in lengths],
    )
    packed = PackedTexts.of(tokenised, length=13, most=3)
    graphdef, state = nnx.split(tiny)
    first = jax.jit(lambda state, tokens: nnx.merge(graphdef, state).first(tokens))
    together = np.asarray(first(state, packed.pad(range(len(packed)), 14, len(packed) + 1)))
    assert len(packed) < len(lengths)
    np.testing.assert_allclose(
        together[packed.row, packed.slot],
        first(state, tokenised.pad(range(len(lengths)), 14, len(lengths))),
        rtol=0,
        atol=1e-5,
    )
