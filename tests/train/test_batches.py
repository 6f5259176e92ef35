import numpy as np

from bert.tokens import Framed, Ragged
from train.batches import Packer, shuffled_plan


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


def framed_of(lengths) -> Framed:
    ids = Ragged.of([[7] * length for length in lengths])
    return Framed(ids, ids.lengths, pad_id=0)


def test_all_batches_of_a_plan_have_one_shape():
    lengths = np.random.default_rng(0).integers(2, 60, 500)
    batches = [np.random.default_rng(n).permutation(500)[: 40 + n % 3] for n in range(20)]
    packer = Packer.fitting(framed_of(lengths), batches, devices=1)
    shapes = {tuple(part.shape for part in packer(batch)) for batch in batches}
    assert len(shapes) == 1
    (ids, *_, starts) = shapes.pop()
    assert ids[1] == 128
    assert starts == (42,)
    fullest = max(lengths[batch].sum() for batch in batches)
    assert ids[0] * 128 < 1.1 * fullest + 128  # hardly any padding


def test_rows_and_texts_can_be_shared_evenly_by_all_devices():
    packer = Packer.fitting(framed_of([100] * 9), [np.arange(5), np.arange(9)], devices=4)
    assert packer(np.arange(5)).ids.shape == (12, 128)  # nine rows, and three to share evenly
    assert len(packer(np.arange(9)).starts) == 12


def test_a_text_longer_than_a_row_makes_rows_longer():
    packer = Packer.fitting(framed_of([200, 3]), [np.arange(2)], devices=1)
    assert packer(np.arange(2)).ids.shape == (2, 200)
