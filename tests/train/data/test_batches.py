import numpy as np
import pytest

from base.errors import InputError
from bert.tokens import Ragged, Tokenised
from train.data.batches import Packer, grouped_plan, shuffled_plan


def test_every_epoch_is_a_shuffle_of_its_own():
    plan = shuffled_plan(10, 5, epochs=3, seed=0)
    assert len(plan) == 6
    epochs = [np.concatenate(plan[start : start + 2]) for start in (0, 2, 4)]
    assert all(sorted(epoch.tolist()) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch.tolist()) for epoch in epochs}) == 3


def test_a_plan_is_decided_by_its_seed():
    for a, b in zip(*(shuffled_plan(23, 4, epochs=2, seed=7) for _ in range(2)), strict=True):
        np.testing.assert_array_equal(a, b)
    other = shuffled_plan(23, 4, epochs=2, seed=8)
    assert not all(
        np.array_equal(a, b)
        for a, b in zip(shuffled_plan(23, 4, epochs=2, seed=7), other, strict=True)
    )


def test_the_rest_of_an_epoch_waits_for_the_next_shuffle():
    plan = shuffled_plan(11, 4, epochs=2, seed=0)
    assert [len(batch) for batch in plan] == [4, 4, 4, 4]
    assert len(set(np.concatenate(plan[:2]).tolist())) == 8


def test_fewer_examples_than_a_batch_are_repeated_to_fill_it():
    plan = shuffled_plan(3, 8, epochs=2, seed=0)
    assert [len(batch) for batch in plan] == [8, 8]
    assert set(plan[0].tolist()) == {0, 1, 2}
    assert shuffled_plan(0, 8, epochs=0, seed=0) == []


def topics(examples: int, of: int) -> np.ndarray:
    """Return vectors of examples, `of` per topic. Vectors of a topic differ only by small noise."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(examples // of, 16))
    noise = random.normal(size=(examples, 16)) / 20
    return (np.repeat(centres, of, axis=0) + noise).astype(np.float32)


def neighbours(plan, of: int) -> float:
    """Return, on average, how many other examples of its topic are in an example's batch."""
    return float(np.mean([np.bincount(batch // of)[batch // of].mean() - 1 for batch in plan]))


def test_similar_examples_share_a_batch():
    vectors = topics(512, of=8)
    plan = grouped_plan(vectors, 32, 8, epochs=2, seed=3)
    for epoch in (plan[:16], plan[16:]):
        assert sorted(np.concatenate(epoch).tolist()) == list(range(512))
        assert neighbours(epoch, 8) > 3.5
    assert neighbours(shuffled_plan(512, 32, epochs=1, seed=3), 8) < 1
    assert not np.array_equal(plan[0], plan[16])
    for one, other in zip(plan, grouped_plan(vectors, 32, 8, epochs=2, seed=3), strict=True):
        np.testing.assert_array_equal(one, other)


def test_groups_of_any_size_make_whole_batches_of_distinct_examples():
    plan = grouped_plan(topics(98, of=7), 10, 3, epochs=1, seed=0)
    assert [len(batch) for batch in plan] == [10] * 9
    assert len(set(np.concatenate(plan).tolist())) == 90
    alike = np.ones((40, 4), np.float32)
    assert len(grouped_plan(alike, 8, 4, epochs=1, seed=0)) == 5


def test_a_group_of_one_shuffles_and_a_group_of_none_is_refused():
    for one, other in zip(
        grouped_plan(topics(64, of=8), 16, 1, epochs=2, seed=5),
        shuffled_plan(64, 16, epochs=2, seed=5), strict=True,
    ):  # fmt: skip
        np.testing.assert_array_equal(one, other)
    with pytest.raises(InputError, match="the group is 0; give 1 or more"):
        grouped_plan(topics(64, of=8), 16, 0, epochs=1, seed=5)


def tokenised_of(lengths) -> Tokenised:
    ids = Ragged.of([[7] * length for length in lengths])
    return Tokenised(ids, ids.lengths, pad_id=0)


def test_all_batches_of_a_plan_have_one_shape():
    lengths = np.random.default_rng(0).integers(2, 60, 500)
    batches = [np.random.default_rng(n).permutation(500)[: 40 + n % 3] for n in range(20)]
    packer = Packer.fitting(tokenised_of(lengths), batches, devices=1)
    shapes = {tuple(part.shape for part in packer(batch)) for batch in batches}
    assert len(shapes) == 1
    (ids, *_, starts) = shapes.pop()
    assert ids[1] == 64
    assert starts == (42,)
    fullest = max(lengths[batch].sum() for batch in batches)
    # Packed rows of 64 tokens have gaps of at most about 20%, even with texts of up to 60 tokens.
    assert ids[0] * 64 < 1.2 * fullest + 64


def test_rows_and_texts_can_be_shared_evenly_by_all_devices():
    packer = Packer.fitting(tokenised_of([100] * 9), [np.arange(5), np.arange(9)], devices=4)
    assert packer(np.arange(5)).ids.shape == (12, 100)  # nine rows, filled up for four devices
    assert len(packer(np.arange(9)).starts) == 12


def test_a_text_longer_than_a_row_makes_rows_longer():
    packer = Packer.fitting(tokenised_of([200, 3]), [np.arange(2)], devices=1)
    assert packer(np.arange(2)).ids.shape == (2, 200)
