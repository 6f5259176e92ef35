import time
from dataclasses import replace

import numpy as np
import pytest

from base.errors import RequestError
from catalog.item_text import item_text
from catalog.items import Item
from search.config import EngineConfig
from search.engine import Engine
from search.errors import DeadlineExceededError, NotSupportedError, UnknownItemsError
from search.request import (
    DENSE,
    LEXICAL,
    BatchGetItemsRequest,
    EmbedRequest,
    RerankRequest,
    RetrieveRequest,
    SearchRequest,
)
from tests.tiny import tiny_items

ITEMS = len(tiny_items())


def ids(result) -> list[str]:
    return [hit.item_id for hit in result.hits]


@pytest.fixture(scope="module")
def recall_only(recall_bundle) -> Engine:
    return Engine.load(recall_bundle)


def test_a_search_recalls_reranks_and_accounts_for_both(engine):
    result = engine.search(
        SearchRequest("usb c charger", page_size=5, recall_depth=20, rerank_depth=8)
    )
    assert len(result.hits) == 5
    assert (result.recalled, result.reranked) == (20, 8)
    assert [stage.name for stage in result.stages] == ["encode", "recall", "features", "rerank"]
    assert [stage.candidates for stage in result.stages] == [0, 20, 8, 8]
    assert all(stage.seconds >= 0 for stage in result.stages)
    assert result.has_more


def test_the_head_is_in_the_reranker_s_order_and_the_rest_in_recall_s(engine):
    result = engine.search(SearchRequest("usb c charger", page_size=40, rerank_depth=12))
    recall_only = engine.retrieve(RetrieveRequest("usb c charger", page_size=40))
    assert sorted(ids(result)[:12]) == sorted(ids(recall_only)[:12])
    assert ids(result)[12:] == ids(recall_only)[12:]
    head, tail = result.hits[:12], result.hits[12:]
    recalled = {hit.item_id: hit.score for hit in recall_only.hits}
    np.testing.assert_allclose(
        [hit.score for hit in head],
        [hit.rerank_score + 1.5 * recalled[hit.item_id] for hit in head],
        atol=1e-5,
    )
    assert all(hit.rerank_score is None for hit in tail)
    scores = [hit.score for hit in result.hits]
    assert scores == sorted(scores, reverse=True)
    assert all(hit.channel_scores.keys() == {"dense", "lexical"} for hit in result.hits)
    assert max(hit.channel_scores["lexical"] for hit in result.hits) <= 1


def test_search_scores_are_those_of_rerank_and_of_the_vectors(engine):
    head = engine.search(SearchRequest("hdmi cable", page_size=10, rerank_depth=10)).hits
    again = {
        hit.item_id: hit
        for hit in engine.rerank(RerankRequest("hdmi cable", [h.item_id for h in head])).hits
    }
    vectors = engine.embed(
        EmbedRequest([engine.store.item(engine.store.row(h.item_id)) for h in head])
    ).vectors
    cosines = vectors @ engine.embed(EmbedRequest(["hdmi cable"])).vectors[0]
    recall_only = engine.dense_scores("hdmi cable", [h.item_id for h in head])
    for hit, cosine, score in zip(head, cosines, recall_only, strict=True):
        assert hit.rerank_score == pytest.approx(again[hit.item_id].rerank_score, abs=1e-5)
        assert hit.channel_scores["dense"] == pytest.approx(
            again[hit.item_id].channel_scores["dense"], abs=1e-5
        )
        assert hit.channel_scores["lexical"] == again[hit.item_id].channel_scores["lexical"]
        assert hit.channel_scores["dense"] == pytest.approx(score, abs=1e-5)
        # `embed` may put an item into a batch of another length. In bfloat16, the rounding then
        # differs.
        assert hit.channel_scores["dense"] == pytest.approx(cosine, abs=2e-2)


@pytest.mark.parametrize("options", [{}, {"recall_depth": 5}, {"rerank_depth": 0}])
def test_there_are_never_fewer_than_k_where_k_exist(engine, options):
    for limit in (1, 10, ITEMS, 100):
        assert len(engine.search(SearchRequest("cable", page_size=limit, **options)).hits) == min(
            limit, ITEMS
        )
    assert len(engine.retrieve(RetrieveRequest("cable", page_size=1_000)).hits) == ITEMS


@pytest.mark.parametrize(
    "options", [{}, {"recall_depth": 9}, {"recall_depth": 9, "rerank_depth": 4}]
)
def test_pages_put_together_are_the_one_long_page(engine, options):
    whole = engine.search(SearchRequest("usb cable", page_size=ITEMS, **options))
    pages = [
        engine.search(SearchRequest("usb cable", page_size=7, offset=at, **options))
        for at in range(0, 49, 7)
    ]
    assert [name for page in pages for name in ids(page)] == ids(whole)
    assert len(set(ids(whole))) == ITEMS
    scores = [hit.score for page in pages for hit in page.hits]
    assert scores == sorted(scores, reverse=True)
    np.testing.assert_allclose(scores, [hit.score for hit in whole.hits], rtol=0, atol=1e-5)
    assert [page.has_more for page in pages] == [True] * 6 + [False]


def test_whether_more_follows_is_told_at_the_very_end(engine):
    assert engine.search(SearchRequest("cable", page_size=1, offset=ITEMS - 2)).has_more
    assert not engine.search(SearchRequest("cable", page_size=1, offset=ITEMS - 1)).has_more
    beyond = engine.search(SearchRequest("cable", page_size=10, offset=ITEMS))
    assert (beyond.hits, beyond.has_more) == ((), False)
    assert engine.retrieve(RetrieveRequest("cable", page_size=ITEMS - 1)).has_more
    assert not engine.retrieve(RetrieveRequest("cable", page_size=ITEMS)).has_more


@pytest.mark.parametrize("query", ["充电器 🔌", "!!!", "\ud800 cable", "x" * 2_000, "zzzzqqq"])
def test_any_text_is_searched(engine, query):
    result = engine.search(SearchRequest(query, page_size=10))
    assert len(result.hits) == 10
    assert np.isfinite([hit.score for hit in result.hits]).all()


def test_an_expired_deadline_ends_every_method(engine):
    past = time.monotonic() - 1
    item = engine.store.item(0)
    for call in (
        lambda: engine.search(SearchRequest("cable", deadline=past)),
        lambda: engine.retrieve(RetrieveRequest("cable", deadline=past)),
        lambda: engine.rerank(RerankRequest("cable", [item.item_id], deadline=past)),
        lambda: engine.embed(EmbedRequest(["cable"], deadline=past)),
        lambda: engine.embed(EmbedRequest([item], deadline=past)),
    ):
        with pytest.raises(DeadlineExceededError):
            call()
    assert engine.search(SearchRequest("cable", deadline=time.monotonic() + 60)).hits


def test_a_query_s_own_vector_retrieves_the_same(engine):
    vector = engine.embed(EmbedRequest(["hdmi cable"])).vectors[0]
    by_text = engine.retrieve(RetrieveRequest("hdmi cable", channels=(DENSE,)))
    by_vector = engine.retrieve(RetrieveRequest(vector=3 * vector))
    assert ids(by_text) == ids(by_vector)
    np.testing.assert_allclose(
        [hit.score for hit in by_text.hits], [hit.score for hit in by_vector.hits], atol=1e-6
    )
    assert [stage.name for stage in by_vector.stages] == ["recall"]


@pytest.mark.parametrize("length", [1e-42, 1e38], ids=["denormal", "largest"])
def test_a_vector_of_any_length_retrieves_the_same(engine, length):
    direction = np.sign(engine.embed(EmbedRequest(["hdmi cable"])).vectors[0])
    of_one = engine.retrieve(RetrieveRequest(vector=direction))
    of_length = engine.retrieve(RetrieveRequest(vector=(length * direction).astype(np.float32)))
    assert ids(of_length) == ids(of_one)
    assert max(hit.score for hit in of_length.hits) <= 1 + 1e-5


def test_a_vector_of_another_width_is_refused(engine):
    with pytest.raises(RequestError, match="vector: has 3 numbers; give 16, the width"):
        engine.retrieve(RetrieveRequest(vector=np.ones(3, np.float32)))


def test_hits_say_which_channel_recalled_them(engine):
    hits = engine.retrieve(RetrieveRequest("usb c charger", page_size=ITEMS)).hits
    assert len(hits) == ITEMS
    for channel in (DENSE, LEXICAL):
        alone = engine.retrieve(
            RetrieveRequest("usb c charger", page_size=ITEMS, channels=(channel,))
        ).hits
        ranks = {
            hit.item_id: hit.channel_ranks[channel] for hit in hits if channel in hit.channel_ranks
        }
        assert ranks == {hit.item_id: rank for rank, hit in enumerate(alone, start=1)}
    page = engine.search(SearchRequest("usb c charger", page_size=10, rerank_depth=10)).hits
    assert all(hit.channel_ranks for hit in page)


def test_a_bundle_is_sound_whatever_requests_do_by_default(tiny_bundle):
    config = EngineConfig(recall_depth=7, rerank_depth=0, channel_weights="lexical=0")
    vectors_alone = Engine.load(tiny_bundle, config)
    result = vectors_alone.search(SearchRequest.by_score("usb c charger", page_size=5))
    assert (result.recalled, result.reranked) == (7, 0)
    dense = vectors_alone.retrieve(RetrieveRequest("usb c charger", page_size=5, channels=(DENSE,)))
    assert [hit.score for hit in result.hits] == [hit.score for hit in dense.hits]


def test_pages_beyond_the_recall_depth_hold_every_item_once(engine):
    flags = {"recall_depth": 20, "rerank_depth": 5}
    found, scores = [], []
    for offset in range(0, ITEMS, 15):
        hits = engine.search(
            SearchRequest("usb c charger", page_size=15, offset=offset, **flags)
        ).hits
        found += [hit.item_id for hit in hits]
        scores += [hit.score for hit in hits]
    assert sorted(found) == sorted(engine.store.ids)
    assert scores == sorted(scores, reverse=True)


def test_items_are_reranked_by_id_and_inline_alike(engine):
    named, inline = engine.store.item(3), engine.store.item(7)
    other = replace(inline, item_id="elsewhere")
    result = engine.rerank(RerankRequest("usb c charger", [named.item_id, inline.item_id, other]))
    assert sorted(ids(result)) == sorted([named.item_id, inline.item_id, "elsewhere"])
    scores = [hit.score for hit in result.hits]
    assert scores == sorted(scores, reverse=True)
    assert (result.recalled, result.reranked, result.has_more) == (0, 3, False)
    by_id = {hit.item_id: hit for hit in result.hits}
    # This inline item equals an indexed item. It has no lexical score, because it is in no index.
    assert "lexical" not in by_id["elsewhere"].channel_scores
    assert "lexical" in by_id[inline.item_id].channel_scores
    assert by_id["elsewhere"].channel_scores["dense"] == pytest.approx(
        by_id[inline.item_id].channel_scores["dense"], abs=2e-2
    )


def test_inline_items_need_nothing_but_a_title(engine):
    result = engine.rerank(
        RerankRequest("cable", [Item("new", "a cable"), Item("odd", "🔌" * 500)])
    )
    assert len(result.hits) == 2
    assert np.isfinite([hit.score for hit in result.hits]).all()


def test_a_rerank_score_does_not_depend_on_the_other_items(engine):
    names = list(engine.store.ids[:20])
    together = {
        hit.item_id: hit.score for hit in engine.rerank(RerankRequest("charger", names)).hits
    }
    for name in names[::6]:
        alone = engine.rerank(RerankRequest("charger", [name])).hits[0].score
        assert alone == pytest.approx(together[name], abs=1e-4)


def test_unknown_items_are_all_named(engine):
    with pytest.raises(UnknownItemsError) as caught:
        engine.rerank(RerankRequest("cable", ["nobody", engine.store.ids[0], "no one"]))
    assert caught.value.item_ids == ("nobody", "no one")
    with pytest.raises(UnknownItemsError):
        engine.dense_scores("cable", ["nobody"])


def test_embeddings_are_unit_vectors_of_the_index(engine):
    for vectors in (
        engine.embed(EmbedRequest(["a", "b"])).vectors,
        engine.embed(EmbedRequest([engine.store.item(0)])).vectors,
    ):
        assert vectors.shape[1] == engine.dim == 16
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_queries_and_items_are_embedded_together_in_their_order(engine):
    item = engine.store.item(0)
    together = engine.embed(EmbedRequest(["hdmi cable", item, "USB  C"]))
    assert [(s.name, s.candidates) for s in together.stages] == [("encode", 2), ("encode", 1)]
    queries, items = (
        engine.embed(EmbedRequest(["hdmi cable", "usb c"])).vectors,
        engine.embed(EmbedRequest([item])).vectors,
    )
    np.testing.assert_allclose(together.vectors[[0, 2]], queries, atol=1e-5)
    np.testing.assert_allclose(together.vectors[[1]], items, atol=1e-5)
    with pytest.raises(RequestError, match=r"inputs\[1\].query: is empty"):
        engine.embed(EmbedRequest(["cable", " "]))


def test_items_are_looked_up_in_the_order_of_their_ids(engine):
    first, second = engine.store.ids[:2]
    found = engine.lookup(BatchGetItemsRequest([second, "nobody", first, "no one"]))
    assert [item.item_id for item in found.items] == [second, first]
    assert found.missing == ("nobody", "no one")
    assert [(s.name, s.candidates) for s in found.stages] == [("lookup", 2)]


def test_a_retrieval_has_items_only_where_they_are_wanted(engine):
    assert all(
        hit.item is None for hit in engine.retrieve(RetrieveRequest("cable", page_size=3)).hits
    )
    for hit in engine.retrieve(RetrieveRequest("cable", page_size=3, with_items=True)).hits:
        assert hit.item == engine.store.item(engine.store.row(hit.item_id))


def test_without_a_second_stage_search_is_recall(recall_only, engine):
    assert not recall_only.has_reranker
    result = recall_only.search(SearchRequest.by_score("usb c charger", page_size=9))
    assert result.reranked == 0
    assert [stage.name for stage in result.stages] == ["encode", "recall"]
    assert ids(result) == ids(engine.retrieve(RetrieveRequest("usb c charger", page_size=9)))
    assert all(
        hit.score >= hit.channel_scores["dense"] for hit in result.hits
    )  # lexical scores add to cosines
    with pytest.raises(NotSupportedError, match="no reranker"):
        recall_only.rerank(RerankRequest("cable", [recall_only.store.ids[0]]))


def test_after_warming_up_searching_compiles_nothing(engine):
    engine.warm_up()
    compiled = engine.compilations
    engine.search(SearchRequest("cable", page_size=5))
    engine.search(SearchRequest("x " * 500, rerank_depth=3))
    engine.retrieve(
        RetrieveRequest("usb c charger 65 watt with a very long cable for laptops", page_size=3)
    )
    engine.rerank(RerankRequest("cable", list(engine.store.ids[:9])))
    assert engine.compilations == compiled


def test_what_is_reranked_is_the_item_s_text(engine):
    item = engine.store.item(5)
    assert item_text(item).startswith(item.title)
    changed = replace(item, item_id="x", title="garden hose", description=None, attributes={})
    scores = {
        h.item_id: h.score
        for h in engine.rerank(RerankRequest("hose", [replace(item, item_id="y"), changed])).hits
    }
    assert scores["x"] != scores["y"]
