"""The training pairs of the item tower from what people did: an item, and the next item."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from base.errors import InputError
from behaviour.interactions import Interactions
from catalog.events import EVENT_TYPES
from tests.tiny import tiny_bert
from towers.model import Towers, TowersConfig
from towers.tokens import tokenise
from train.cli.main import main
from train.loop.parameters import split
from train.people.dataset import People
from train.people.next_items import NextItems, interleaved
from train.pipeline.towers import PairsConfig, pairs_loss

TEXTS = ["mug", "saucer", "spoon", "mug", "teapot"]  # items 0 and 3 have the same text
CONFIG = TowersConfig(dim=16, max_query_tokens=8, max_item_tokens=8)


def people(*events: tuple[int, int, str]) -> People:
    """Return people with events of (user, item, type), one second after the other."""
    user, item, kind = zip(*events, strict=True)
    types = np.array([EVENT_TYPES.index(name) for name in kind])
    users = np.array(user)
    interactions = Interactions.sorted_by_time(
        [None] * len(set(user)), 5, users, np.array(item), types, np.arange(len(user)), users
    )
    return People(interactions, [{}] * len(set(user)))


@pytest.fixture
def next_items(tokenizer) -> NextItems:
    """The pairs mug, saucer; saucer, spoon; and teapot, mug."""
    found = people(
        (0, 0, "click"),
        (0, 1, "purchase"),
        (0, 2, "click"),
        (1, 4, "purchase"),
        (1, 3, "add_to_cart"),
        (1, 0, "purchase"),  # the same text as the item before
    )
    items, _ = tokenise(tokenizer, CONFIG, "item", TEXTS)
    return NextItems.of(found, TEXTS, items)


def test_pairs_are_the_consecutive_items_of_one_person(next_items):
    pairs = list(zip(next_items.item.tolist(), next_items.next.tolist(), strict=True))
    assert pairs == [(0, 1), (1, 2), (4, 0)]
    np.testing.assert_allclose(next_items.weight, [1, 1 / 3, 2 / 3], rtol=1e-6)
    # Of six items, two are mugs, two saucers, one is a spoon and one a teapot.
    np.testing.assert_allclose(np.exp(next_items.log_share), [2 / 6, 2 / 6, 1 / 6, 0, 1 / 6])


def test_people_without_two_different_items_are_refused(tokenizer):
    items, _ = tokenise(tokenizer, CONFIG, "item", TEXTS)
    found = people((0, 0, "click"), (0, 3, "purchase"), (1, 1, "click"))
    with pytest.raises(InputError, match="no person has events with two different items"):
        NextItems.of(found, TEXTS, items)


def test_known_pairs_and_the_item_itself_are_no_negatives(next_items):
    batch = np.arange(3)
    loaded = next_items.loader([batch], devices=1)(batch)
    # The rows are mug, saucer and teapot; the columns are saucer, spoon and mug.
    assert loaded.where.tolist() == [
        [False, True, False],
        [False, False, True],
        [True, True, False],
    ]
    assert loaded.log_shares[0, 1] == pytest.approx(np.log(2 / 6) + np.log(1 / 6))


def test_the_loss_of_item_pairs_is_corrected_for_frequent_items(next_items, tokenizer):
    towers = Towers(CONFIG, tiny_bert(tokenizer), rngs=nnx.Rngs(1))
    build, params = split(towers)
    batch = np.arange(3)
    loaded = next_items.loader([batch], devices=1)(batch)
    (loss, _), gradient = jax.value_and_grad(pairs_loss(build, jnp.float32), has_aux=True)(
        params, loaded, None
    )
    (first, _), (following, _) = towers.encode_item_pairs(loaded.packed)
    shares = np.array([2, 2, 1, 0, 1]) / 6
    logits = np.array(first @ following.T, np.float64) / CONFIG.temperature
    logits -= np.log(shares[next_items.item])[:, None] + np.log(shares[next_items.next])
    logits[~(loaded.where | np.eye(3, dtype=bool))] = -np.inf
    rows = np.log(np.exp(logits).sum(axis=1)) - np.diag(logits)
    columns = np.log(np.exp(logits).sum(axis=0)) - np.diag(logits)
    expected = np.average((rows + columns) / 2, weights=next_items.weight)
    assert float(loss) == pytest.approx(expected, rel=1e-4)
    # Only the item tower learns from pairs of items, and not the temperature.
    assert np.any(gradient["item_projection"])
    assert not np.any(gradient["query_projection"])
    assert not np.any(gradient["log_temperature"])


def test_other_batches_are_spread_over_a_plan():
    plan = [np.array([number]) for number in range(6)]
    mixed = interleaved(plan[:4], plan[4:])
    assert np.concatenate(mixed).tolist() == [0, 4, 1, 2, 5, 3]


def test_a_plan_repeats_pairs_if_they_are_few(next_items):
    plan = next_items.plan(2, 5, seed=0)
    assert [len(batch) for batch in plan] == [2] * 5


def test_the_share_of_steps_has_limits():
    with pytest.raises(InputError, match=r"next_item_steps 0\.0 is not in"):
        PairsConfig(next_item_steps=0.0)


def shop(dataset, name: str, users: int) -> Path:
    """Write a dataset of two items, each bought by the users in the same order."""
    items = [{"item_id": item, "title": title} for item, title in (("m", "mug"), ("s", "saucer"))]
    events = [
        {
            "time": f"2024-01-0{day}T00:00:00Z",
            "item_id": item,
            "type": "purchase",
            "user_id": f"u{user}",
        }
        for user in range(users)
        for day, item in ((1, "m"), (2, "s"))
    ]
    return dataset(name, items=items, events=events)


@pytest.mark.usefixtures("shared_cache")
@pytest.mark.slow
def test_training_with_a_second_dataset_adds_steps_of_its_events(dataset, demo, flags, tmp_path):
    out = tmp_path / "out"
    short = ("--towers-fit.epochs", "1", "--pairs.max-pairs", "128", "--pairs.event-weight", "0")
    other = ("--with-data", str(shop(dataset, "shop", 4)), "--pairs.next-item-steps", "0.5")
    more = (*short, *other, "--towers-fit.evaluations", "1")
    assert main(["towers", *flags(demo, out, *more)]) == 0
    report = json.loads((out / "steps" / "towers" / "step.json").read_text())["report"]
    assert report["pairs"] == 128
    assert report["item_pairs"] == 4
    assert report["step"] == 6  # four batches of 32 query-item pairs, and two of pairs of items


def test_a_second_dataset_without_events_of_people_is_named(dataset, demo, flags, tmp_path, capsys):
    items = dataset("items", items=[{"item_id": "m", "title": "mug"}])
    out = tmp_path / "out"
    assert main(["towers", *flags(demo, out, "--with-data", str(items))]) == 2
    assert (
        f"error: --with-data {items}: no event has a user or a session" in capsys.readouterr().err
    )
    assert not (out / "steps").exists()


@pytest.mark.usefixtures("shared_cache")
def test_a_second_dataset_needs_training_queries_of_the_first(dataset, flags, tmp_path, capsys):
    items = dataset("items", items=[{"item_id": "m", "title": "mug"}])
    other = ("--with-data", str(shop(dataset, "shop", 1)))
    assert main(["towers", *flags(items, tmp_path / "out", *other)]) == 2
    assert "has no training query with a relevant item" in capsys.readouterr().err
