"""Searches with understood queries: both stages, filters, demotion, and live writes."""

from dataclasses import replace

import pytest

from bert.numerics import choose_numerics
from catalog.items import Item
from lexical.config import LexicalConfig
from search.config import EngineConfig
from search.engine import Engine
from search.pipeline.rank import SIZE_WEIGHT
from search.request import RerankRequest, RetrieveRequest, SearchRequest
from search.understanding.interpretation import NOTHING, Understanding
from tests.tiny import BY_SCORE, tiny_items, write_bundle, write_manifest

HEADPHONES = [
    Item("wired", "Over-ear headphones, wires and bag", price=29.0),
    Item("free", "Over-ear headphones, no wires, bluetooth", price=59.0),
    Item("plain", "Over-ear headphones, bluetooth"),
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory, compilation_cache) -> Engine:
    directory = tmp_path_factory.mktemp("understood") / "bundle"
    write_bundle(directory, [*tiny_items(), *HEADPHONES], choose_numerics())
    (directory / "understanding").mkdir()
    (directory / "understanding/synonyms.txt").write_text("plug, charger\n")
    write_manifest(directory, choose_numerics())
    return Engine.load(directory, BY_SCORE)


@pytest.fixture
def configured(engine):
    """Return a function that changes the engine's settings until the test ends."""
    before = engine.config

    def configure(**settings) -> None:
        engine.config = replace(before, **settings)

    yield configure
    engine.config = before


def scores(result):
    return [(hit.item_id, hit.score, hit.rerank_score) for hit in result.hits]


def test_both_stages_read_the_corrected_text(engine):
    typed, clean = (engine.search(SearchRequest(q)) for q in ("usb c chargr", "usb c charger"))
    assert scores(typed) == scores(clean)
    assert typed.interpretation.text == "usb c charger"
    [rewrite] = typed.interpretation.rewrites
    assert (rewrite.words, rewrite.replacement, rewrite.applied) == ("chargr", "charger", True)


def test_retrieve_and_rerank_correct_words_too(engine):
    typed, clean = (
        engine.retrieve(RetrieveRequest(query)) for query in ("usb c chargr", "usb c charger")
    )
    assert scores(typed) == scores(clean)
    candidates = [item.item_id for item in tiny_items()[:5]]
    typed, clean = (
        engine.rerank(RerankRequest(query, candidates)) for query in ("hdmi cabel", "hdmi cable")
    )
    assert scores(typed) == scores(clean)


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("usb c chargr", "spelling"),
        ("plug", "synonyms"),
        ("charger for the car", "stop_words"),
        ("charger under 20", "limits"),
        ("headphones without wires", "exclusions"),
        ("voltix charger", "values"),
    ],
)
def test_a_request_turns_each_kind_off(engine, query, kind):
    def parts(kinds):
        understood = engine.search(SearchRequest(query, understanding=kinds)).interpretation
        return getattr(understood, {"spelling": "rewrites"}.get(kind, kind))

    assert parts(Understanding())
    assert not parts(replace(Understanding(), **{kind: False}))
    assert not parts(NOTHING)


def test_settings_turn_kinds_off(engine, configured):
    configured(correct_spelling=False, price_limits="off")
    understood = engine.search(SearchRequest("chargr under 20")).interpretation
    assert understood.text == "chargr under 20"
    assert understood.limits == ()


def test_a_limit_filters_by_price(engine):
    result = engine.search(SearchRequest("charger under 20", page_size=100))
    prices = {hit.item.item_id: hit.item.price for hit in result.hits}
    expected = {i.item_id for i in tiny_items() if i.price < 20}
    assert prices.keys() == expected
    assert result.matched == len(expected)
    assert result.interpretation.limits[0].effect == "filter"
    assert result.interpretation.text == "charger"


def test_a_limit_that_no_item_meets_has_no_effect(engine):
    result = engine.search(SearchRequest("charger under 1"))
    assert result.hits
    assert result.interpretation.limits[0].effect == "none"


def test_a_limit_may_demote_instead(engine, configured):
    configured(price_limits="demote")
    result = engine.search(SearchRequest("charger under 20", page_size=100))
    is_cheap = [(hit.item.price or 99) < 20 for hit in result.hits]
    assert is_cheap == sorted(is_cheap, reverse=True)
    assert len(result.hits) == len(tiny_items()) + len(HEADPHONES)
    assert [hit.score for hit in result.hits] == sorted(
        (h.score for h in result.hits), reverse=True
    )


def test_excluded_items_follow_behind(engine):
    result = engine.search(SearchRequest("headphones without wires", page_size=100))
    ids = [hit.item_id for hit in result.hits]
    assert ids[-1] == "wired"  # even behind items that are no headphones
    assert result.interpretation.text == "headphones"
    assert result.interpretation.exclusions[0].effect == "demote"


def test_excluded_items_may_be_left_out(engine, configured):
    configured(exclusions="filter")
    result = engine.search(SearchRequest("headphones without wires", page_size=100))
    ids = {hit.item_id for hit in result.hits}
    assert {"free", "plain"} <= ids
    assert "wired" not in ids


def test_synonyms_and_stop_words_reach_the_lexical_channel(engine):
    def lexical(query):
        hits = engine.retrieve(RetrieveRequest(query, channels=("lexical",))).hits
        return {hit.item_id for hit in hits}

    assert lexical("plug") == lexical("charger")
    assert lexical("the bag") == {"wired"}


def test_pages_depend_on_language_and_switches():
    request = SearchRequest("charger")
    assert request.identity != SearchRequest("charger", language="de").identity
    assert request.identity != SearchRequest("charger", understanding=NOTHING).identity


def test_browsing_has_no_interpretation(engine):
    from catalog.filters import Exists

    assert engine.search(SearchRequest(filter=Exists("price"))).interpretation is None


def test_default_settings_keep_all_kinds_on():
    assert EngineConfig().understanding == Understanding()


def test_the_sizes_of_a_query_add_to_the_scores_of_items_that_have_them(engine):
    request = SearchRequest("usb c charger 65 w", page_size=50, show_variants=True)
    off = replace(request, understanding=replace(request.understanding, sizes=False))
    plain = {hit.item_id: hit.score for hit in engine.search(off).hits if hit.rerank_score}
    with_sizes = engine.search(request).hits
    gains = {hit.item_id: hit.score - plain[hit.item_id] for hit in with_sizes if hit.rerank_score}
    index = engine.snapshot.channels.lexical_index
    rows = engine.snapshot.rows(list(gains))
    [size] = index.sizes("usb c charger 65 w")
    has_size = index.scores({size: 1.0}, rows) > 0
    assert has_size.any()
    assert not has_size.all()
    assert list(gains.values()) == pytest.approx((SIZE_WEIGHT * has_size).tolist(), abs=1e-5)


def test_stop_words_are_those_of_the_bundles_language_if_the_request_has_none(tmp_path):
    for language, left_out in (("en", ("the",)), ("de", ("die",))):
        directory = tmp_path / language
        config = LexicalConfig(default_language=language)
        write_bundle(directory, tiny_items(), choose_numerics(), lexical=config)
        found = (
            Engine.load(directory, BY_SCORE).search(SearchRequest("charger the die")).interpretation
        )
        assert found.stop_words == left_out


def test_the_uncorrected_text_has_neither_limits_nor_exclusions(engine):
    found = engine.search(SearchRequest("over-ear headphnes under 50 without wires")).interpretation
    assert found.text == "over-ear headphones"
    assert found.uncorrected == "over-ear headphnes"
