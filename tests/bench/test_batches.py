import numpy as np
import pytest

from bench.harness.inputs import MAX_TOKENS
from bench.models.batches import Batches, fastest
from bench.models.exported_peers import encode, rerank
from bert.params import DEFAULT_PRETRAINED, resolve_pretrained
from bert.tokens import Tokenizer

TEXTS = ["drill", "a drill with two batteries", "red paint", "nail " * 100]
SOURCE = resolve_pretrained(DEFAULT_PRETRAINED)


@pytest.fixture(scope="module")
def batches():
    return Batches(SOURCE)


def test_batches_are_sorted_by_length_and_padded(batches):
    first, second = batches(TEXTS, 3)
    assert [first[0].tolist(), second[0].tolist()] == [[3, 1, 2], [0]]
    assert first[1].shape == (3, 3, MAX_TOKENS)
    assert first[1][1].sum(axis=1).tolist() == [MAX_TOKENS, 7, 4]
    assert second[1].shape == (3, 1, 3)


def test_tokens_are_those_of_our_tokenizer(batches):
    expected, _ = Tokenizer.from_directory(SOURCE).ids(TEXTS, MAX_TOKENS - 2)
    for [row], tokens in batches(TEXTS, 1):
        assert tokens[0, 0, 1:-1].tolist() == expected[int(row)].tolist()


def test_pairs_have_two_types_of_tokens(batches):
    [(_, tokens)] = batches([("red", "red paint")], 1)
    assert tokens[2].tolist() == [[0, 0, 0, 1, 1, 1]]


def backwards(_):
    """Return a model that runs its batches in reverse; its output is the number of tokens."""

    def run(batches, done):
        for batch in reversed(list(batches)):
            counts = batch[1][1].sum(axis=1, dtype=np.float32)
            done(batch, np.broadcast_to(counts[:, None, None], (*batch[1][1].shape, 2)))

    return [run]


def test_vectors_are_in_the_order_of_the_texts_whatever_the_order_of_the_batches():
    vectors = encode(SOURCE, backwards, None, TEXTS)(TEXTS)
    assert vectors[:, 0].tolist() == [3, 7, 4, MAX_TOKENS]


def test_scores_are_in_the_order_of_the_pairs():
    def scores(_):
        def run(batches, done):
            for batch in reversed(list(batches)):
                done(batch, batch[1][1].sum(axis=1, keepdims=True).astype(np.float32))

        return [run]

    pairs = [("red", title) for title in TEXTS[:3]]
    assert rerank(SOURCE, scores, None, pairs)(pairs).tolist() == [5, 9, 6]


def test_the_fastest_option_is_chosen_after_a_warm_up():
    now, calls = [0.0], {"slow": 0, "fast": 0}

    def work(option):
        calls[option] += 1
        first_call_of_fast = option == "fast" and calls[option] == 1
        now[0] += 9.0 if first_call_of_fast else {"slow": 2.0, "fast": 1.0}[option]

    assert fastest(["slow", "fast"], work, clock=lambda: now[0]) == "fast"
    assert calls == {"slow": 3, "fast": 3}
