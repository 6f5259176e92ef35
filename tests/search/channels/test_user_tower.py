"""The channel of the user tower: what it finds, why, and what happens without time or tower."""

import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from base.errors import InputError
from live.indexing.delta_index import DeltaIndex
from live.log.write_ahead_log import Write
from search import bundle
from search.channels.base import Query
from search.channels.user_tower import UserTowerChannel
from search.engine import Engine
from search.people.history import History
from search.people.person import Person, Recommending, Surface
from search.people.reasons import ReasonKind
from search.people.weights import USER_TOWER
from search.request import SearchRequest
from search.result import Degradation
from tests.shoppers import MICROSECONDS, A, B, C, past
from tests.tiny import BY_SCORE
from towers.history.blocks import BLOCKS_FILE
from towers.history.saving import read_history_config

BOUGHT = (past(A, "purchase", days_ago=2),)


@pytest.fixture(scope="module")
def engine(tower_bundle: Path) -> Engine:
    return Engine.load(tower_bundle, BY_SCORE)


def channel_of(engine: Engine) -> UserTowerChannel:
    channel = engine.snapshot.channels.personal[USER_TOWER]
    assert isinstance(channel, UserTowerChannel)
    return channel


def history(engine: Engine, *events) -> History:
    return History.of(events, engine.snapshot.catalogue, MICROSECONDS)


def query(engine: Engine, *events) -> Query:
    """Return the query of a person, as the pipeline makes it."""
    known = history(engine, *events)
    user = channel_of(engine).user(known, {})
    asked = Query("", np.zeros(engine.dim, np.float32), history=known)
    if user is None:
        return asked
    [vector] = engine.models.users([user])
    return replace(asked, user=channel_of(engine).user_vector(vector, known))


def recommended(engine: Engine, *events, **fields):
    request = SearchRequest(
        recommending=Recommending(Surface.HOME),
        person=Person(history=events, now=MICROSECONDS),
        page_size=48,
        **fields,
    )
    return engine.search(request)


def test_what_buyers_of_the_history_also_have_is_found_first(engine):
    hits = channel_of(engine).search(query(engine, *BOUGHT), 5)
    catalogue = engine.snapshot.catalogue
    assert C in [catalogue.id(row) for row in hits.rows[:2].tolist()]
    assert hits.scores[0] == 1
    assert (np.diff(hits.scores) <= 0).all()


def test_a_search_finds_the_items_with_the_best_scores_of_all(engine):
    channel, asked = channel_of(engine), query(engine, *BOUGHT)
    rows = np.arange(len(engine.snapshot.catalogue), dtype=np.int32)
    scores = channel.scores(asked, rows)
    hits = channel.search(asked, len(rows))
    assert len(hits.rows) > 10
    np.testing.assert_allclose(hits.scores, np.sort(scores)[::-1][: len(hits.rows)], atol=1e-5)
    np.testing.assert_allclose(scores[hits.rows], hits.scores, atol=1e-5)


def test_a_filter_changes_neither_scores_nor_order(engine):
    channel, asked = channel_of(engine), query(engine, *BOUGHT)
    hits = channel.search(asked, 8)
    assert len(hits.rows) == 8
    allowed = np.ones(len(engine.snapshot.catalogue), np.bool_)
    allowed[hits.rows[::2]] = False
    fewer = channel.search(asked, 3, allowed)
    np.testing.assert_array_equal(fewer.rows, hits.rows[1::2][:3])
    np.testing.assert_allclose(fewer.scores, hits.scores[1::2][:3], atol=1e-5)


def test_only_events_of_trained_types_that_were_not_taken_back_count(engine):
    channel = channel_of(engine)
    assert channel.user(history(engine), {}) is None
    assert channel.user(history(engine, past(A, "view")), {}) is None
    returned = (*BOUGHT, past(A, "return", days_ago=1))
    assert channel.user(history(engine, *returned), {}) is None
    user = channel.user(history(engine, *BOUGHT, past(B, "view")), {"country": "UK"})
    assert user is not None
    assert len(user.types) == 1
    assert user.gap_days.tolist() == [2]
    assert user.context == {"country": "UK"}


def test_without_a_vector_nothing_is_found(engine):
    asked = query(engine, past(A, "view"))
    assert not len(channel_of(engine).search(asked, 5).rows)
    assert not channel_of(engine).scores(asked, np.arange(3, dtype=np.int32)).any()
    assert not len(channel_of(engine).causes(asked, 0))


def test_a_recommendation_names_the_channel_and_its_reason(engine):
    result = recommended(engine, *BOUGHT)
    [hit] = [hit for hit in result.hits if hit.item_id == C]
    assert USER_TOWER in hit.channel_ranks
    [reason] = [reason for reason in hit.reasons if reason.kind is ReasonKind.NEXT]
    assert [cause.item_id for cause in reason.causes] == [A]
    assert result.degradations == ()


def test_a_search_for_a_person_asks_the_channel(engine):
    plain = SearchRequest("usb cable", page_size=48)
    person = Person(history=BOUGHT, now=MICROSECONDS)
    hits = engine.search(replace(plain, person=person)).hits
    assert any(USER_TOWER in hit.channel_ranks for hit in hits)
    assert not any(USER_TOWER in hit.channel_ranks for hit in engine.search(plain).hits)


def test_without_time_the_other_channels_answer(tower_bundle):
    engine = Engine.load(tower_bundle, BY_SCORE)
    engine.share()
    engine.warm_up()
    engine._estimates.add("recall", 60.0)  # recall needs more than the time that is left
    result = recommended(engine, *BOUGHT, deadline=time.monotonic() + 30)
    engine.close()
    assert result.degradations == (Degradation.USER_SKIPPED,)
    assert result.hits
    assert not any(USER_TOWER in hit.channel_ranks for hit in result.hits)


def test_a_new_item_is_found_by_its_text_at_once(tower_bundle, tmp_path):
    delta_index = DeltaIndex(Engine.load(tower_bundle, BY_SCORE), tmp_path)
    engine = delta_index.engine
    item = engine.snapshot.catalogue.item(engine.snapshot.catalogue.row(C))
    delta_index.apply([(1, Write("r", "new", {"title": item.title, "brand": item.brand}))])
    delta_index.show(10)
    asked, channel = query(engine, *BOUGHT), channel_of(engine)
    rows = np.array([engine.snapshot.catalogue.row("new")], np.int32)
    [vector] = channel._dense.vectors(rows)
    width, text, blocks = len(vector), channel.own_text, channel.blocks.as_result
    weights = np.maximum(text @ vector, 0) ** 8
    weights[np.argsort(weights)[:-20]] = 0  # only the 20 nearest items count
    block = 0.6 * weights / weights.sum() @ blocks
    block[-1] += 0.8
    user = asked.user.vector
    products = text @ user[:width] + blocks @ user[width:]
    expected = vector @ user[:width] + block @ user[width:] - np.median(products)
    expected = np.clip(expected / (products.max() - np.median(products)), 0, 1)
    np.testing.assert_allclose(channel.scores(asked, rows), expected, atol=1e-4)
    delta_index.apply([(2, Write("s", C, {"title": "Another thing"}, whole=False))])
    delta_index.show(10)
    channel = channel_of(engine)
    moved = engine.snapshot.catalogue.row(C)
    assert moved in channel.search(asked, 5).rows
    [vector] = channel._dense.vectors(np.array([moved], np.int32))
    own = channel.own_text[np.flatnonzero(channel.own_rows == moved)[0]]
    np.testing.assert_array_equal(own, vector)
    delta_index.close()


def test_an_item_that_the_tower_does_not_know_takes_the_blocks_of_similar_items(
    tower_bundle, engine
):
    channel = channel_of(engine)
    ids = list(engine.store.ids)
    row = ids.index(B)
    number = int(channel.numbers[row])
    unknown = channel.items.number_of.copy()
    unknown[row] = -1
    items = channel.items
    forgotten = replace(
        UserTowerChannel.open(tower_bundle, engine.snapshot.catalogue),
        items=type(items)({}, items.row_of, unknown),
    ).over(channel._dense)
    rows, asked = np.array([row], np.int32), query(engine, *BOUGHT)
    assert forgotten.numbers[row] == len(channel.blocks)
    if number not in channel.blocks.own:  # then it took these blocks before, too
        np.testing.assert_allclose(
            forgotten.scores(asked, rows), channel.scores(asked, rows), atol=1e-6
        )
    assert np.isfinite(forgotten.scores(asked, rows)).all()


def test_a_bundle_without_a_tower_recommends_as_before(people_bundle):
    engine = Engine.load(people_bundle, BY_SCORE)
    assert engine.models.users is None
    assert USER_TOWER not in engine.snapshot.channels.names
    assert not any(USER_TOWER in hit.channel_ranks for hit in recommended(engine, *BOUGHT).hits)


def test_damaged_files_are_refused(engine, tower_bundle, tmp_path):
    copy = tmp_path / "bundle"
    shutil.copytree(tower_bundle, copy)
    blocks = copy / bundle.PEOPLE / BLOCKS_FILE
    blocks.write_bytes(blocks.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"blocks.npz cannot be read"):
        UserTowerChannel.open(copy, engine.snapshot.catalogue)


def test_a_tower_of_other_vectors_is_refused(engine, tower_bundle):
    channel = UserTowerChannel.open(tower_bundle, engine.snapshot.catalogue)
    config = replace(read_history_config(tower_bundle / bundle.PEOPLE), text_dim=7)
    with pytest.raises(InputError, match="the user tower reads vectors of width 7"):
        replace(channel, config=config).over(engine.snapshot.channels.dense)
