"""The channels that read a history: their scores, and the files that they open."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from base.errors import InputError
from behaviour.models.item_to_item import HistoryDecay, ItemToItem
from catalog.catalogue import Catalogue
from catalog.store import ItemStore
from search import bundle
from search.channels import PERSONAL_CHANNELS
from search.channels.also_bought import BY_BASKET, BY_PERSON, AlsoBoughtChannel
from search.channels.base import AddedRows, PersonalChannel, Query
from search.channels.fusion import Channels
from search.channels.model_items import ModelItems, read_item_ids, write_item_ids
from search.channels.popular import PopularChannel
from search.channels.popular_counts import PopularCounts
from search.channels.repeat import RepeatChannel
from search.channels.similarity import Similarity
from search.channels.user_tower import UserTowerChannel
from search.people.history import EVENT_TYPES, History
from tests.tiny import tiny_items

ITEMS = tiny_items()[:6]
IDS = [item.item_id for item in ITEMS]
CATALOGUE = Catalogue.of(ItemStore.of(ITEMS))
ALL = np.arange(6, dtype=np.int32)


def query(*events: tuple[int, str], together: bool = False, **context: str) -> Query:
    """Return the query of a person who did something with some rows just now."""
    history = History(
        np.array([row for row, _ in events], np.int32),
        np.array([EVENT_TYPES.index(kind) for _, kind in events], np.int32),
        np.zeros(len(events), np.int64),
        0,
        np.zeros(0, np.int32),
        together,
    )
    return Query("", np.zeros(16, np.float32), history=history, context=context)


@pytest.fixture
def counted(tmp_path: Path) -> Path:
    """A directory with counts of the items 0 to 4 and of an item that the catalogue lacks."""
    directory = tmp_path / bundle.BEHAVIOUR
    directory.mkdir()
    ids = ["gone", *IDS[:5]]
    write_item_ids(ids, directory)
    weights = np.zeros((6, 6), np.float32)
    weights[1, [2, 3]] = 0.4, 0.2  # of the row 0 for the rows 1 and 2
    weights[2, [0, 4]] = 0.9, 0.3
    for name, values in ((BY_PERSON, weights), (BY_BASKET, weights.T)):
        ItemToItem(sparse.csr_matrix(values), HistoryDecay()).save(directory / name)
    shares = np.array([[1, 0, 0.5, 1, 0, 0], [0, 0, 1, 0, 0, 0]], np.float32)
    PopularCounts({"country=France": 1}, shares).write(directory)
    Similarity(0.5, 0.9).write(directory)
    return tmp_path


def test_every_personal_channel_says_why_it_finds_items(counted: Path):
    assert len({kind.reason for kind in PERSONAL_CHANNELS}) == len(PERSONAL_CHANNELS)
    counting = [kind for kind in PERSONAL_CHANNELS if kind is not UserTowerChannel]
    for kind in counting:
        assert isinstance(kind.open(counted, CATALOGUE), PersonalChannel)


def test_counts_are_weighed_by_the_history_and_divided_by_the_best(counted: Path):
    channel = AlsoBoughtChannel.open(counted, CATALOGUE)
    asked = query((0, "purchase"), (1, "add_to_cart"))
    # 0.4 for row 1, 0.2 for row 2 and 0.7 * 0.3 for row 3; the best is 0.7 * 0.9 of the item gone.
    expected = np.array([0, 0.4, 0.2, 0.21, 0, 0]) / 0.63
    np.testing.assert_allclose(channel.scores(asked, ALL), expected, rtol=1e-5)
    hits = channel.search(asked, 10)
    assert hits.rows.tolist() == [1, 3, 2]
    np.testing.assert_allclose(hits.scores, expected[[1, 3, 2]], rtol=1e-5)
    assert channel.search(asked, 1).rows.tolist() == [1]
    allowed = np.array([True, False, True, False, True, True])
    assert channel.search(asked, 10, allowed).rows.tolist() == [2]
    causes = channel.causes(asked, 1)
    assert causes.rows.tolist() == [0]
    assert channel.causes(asked, 5).rows.tolist() == []


def test_baskets_have_weights_of_their_own(counted: Path):
    channel = AlsoBoughtChannel.open(counted, CATALOGUE)
    assert channel.search(query((1, "purchase")), 10).rows.tolist() == [3]
    assert channel.search(query((1, "purchase"), together=True), 10).rows.tolist() == [0]


def test_a_query_without_a_history_has_no_hits(counted: Path):
    for kind in (AlsoBoughtChannel, RepeatChannel):
        channel = kind.open(counted, CATALOGUE)
        for asked in (query(), replace(query(), history=None)):
            assert len(channel.search(asked, 10).rows) == 0
            assert channel.scores(asked, ALL).tolist() == [0.0] * 6


def test_popular_items_are_the_counted_ones_then_those_with_ratings(counted: Path):
    channel = PopularChannel.open(counted, CATALOGUE)
    assert channel.search(query(), 2).rows.tolist() == [2, 1]
    ratings = np.array([item.rating_count for item in ITEMS])
    others = [0, 3, 4, 5]
    order = channel.search(query(), 10).rows.tolist()
    assert order[:2] == [2, 1]
    assert order[2:] == sorted(others, key=lambda row: (-ratings[row], row))
    assert channel.search(query(country="France"), 2).rows.tolist() == [1, 2]
    assert channel.search(query(country="Spain"), 2).rows.tolist() == [2, 1]
    allowed = np.array([True, False, False, True, True, True])
    assert set(channel.search(query(), 10, allowed).rows.tolist()) == set(others)


def test_repeated_items_are_those_that_were_bought(counted: Path):
    channel = RepeatChannel.open(counted, CATALOGUE)
    asked = query((3, "purchase"), (3, "purchase"), (1, "purchase"), (2, "view"))
    hits = channel.search(asked, 10)
    assert hits.rows.tolist() == [3, 1]
    half = math.log(1 + 50 * 0.5) / math.log(51)
    np.testing.assert_allclose(hits.scores, [1.0, half], rtol=1e-5)
    np.testing.assert_allclose(channel.scores(asked, ALL), [0, half, 0, 1, 0, 0], rtol=1e-5)
    assert channel.causes(asked, 3).rows.tolist() == [3]


def test_counts_follow_items_to_their_last_rows(counted: Path):
    items = ModelItems.open(counted / bundle.BEHAVIOUR, CATALOGUE)
    assert items.row_of.tolist() == [-1, 0, 1, 2, 3, 4]
    vectors = np.eye(2, 4, dtype=np.float32)
    again = AddedRows(6, [ITEMS[1], replace(ITEMS[0], item_id="new")], vectors, [1])
    grown = items.extended(again)
    assert grown.row_of.tolist() == [-1, 0, 6, 2, 3, 4]
    assert grown.number_of.tolist() == [1, 2, 3, 4, 5, -1, 2, -1]
    assert items.number_of.tolist() == [1, 2, 3, 4, 5, -1]


def test_cosines_are_scaled_by_those_of_random_pairs():
    vectors = np.random.default_rng(0).normal(size=(500, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    measured = Similarity.measure(vectors)
    cosines = (vectors @ vectors.T)[np.triu_indices(500, 1)]
    assert measured.usual == pytest.approx(np.median(cosines), abs=0.01)
    assert measured.substitutes == pytest.approx(np.quantile(cosines, 0.999), abs=0.05)
    scaled = Similarity(0.5, 0.9).scaled(np.array([0.2, 0.5, 0.75, 1.0], np.float32))
    assert scaled.tolist() == [0.0, 0.0, 0.5, 1.0]
    assert Similarity.measure(vectors[:1]) == Similarity(0.0, 1.0)


def test_ids_of_all_kinds_are_read_as_they_were_written(tmp_path: Path):
    for ids in ([], ["a", "ä 充電器", "", "x" * 300]):
        write_item_ids(ids, tmp_path)
        assert read_item_ids(tmp_path) == ids


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("items.npz", b"nothing"),
        ("also_bought.npz", b"nothing"),
        ("popular.npz", b"nothing"),
        ("segments.json", b'{"country=France": 2}'),
        ("segments.json", b"[]"),
        ("similarity.json", b'{"usual": 1.0, "substitutes": 0.9}'),
        ("similarity.json", b'{"usual": "x"}'),
    ],
)
def test_a_damaged_file_is_refused(counted: Path, name: str, content: bytes):
    (counted / bundle.BEHAVIOUR / name).write_bytes(content)
    with pytest.raises(InputError):
        Channels.open(counted, CATALOGUE, available=PERSONAL_CHANNELS)


def test_counts_of_other_items_are_refused(counted: Path):
    write_item_ids(IDS, counted / bundle.BEHAVIOUR)
    for kind in (AlsoBoughtChannel, PopularChannel):
        kind.open(counted, CATALOGUE)
    write_item_ids(IDS[:5], counted / bundle.BEHAVIOUR)
    for kind in (AlsoBoughtChannel, PopularChannel):
        with pytest.raises(InputError):
            kind.open(counted, CATALOGUE)
    assert json.loads((counted / bundle.BEHAVIOUR / "segments.json").read_text())
