"""Searches of a bundle with a calibration: relevance, the minimum, and whether nothing fits."""

import math
import shutil
from dataclasses import replace

import numpy as np
import pytest

from catalog.facets import Facet
from catalog.filters import Equals
from search.bundle import Manifest
from search.bundle.calibration import Calibration, LogisticModel, StageModel
from search.engine import Engine
from search.relevance import probability
from search.request import SearchRequest
from search.rules import Pin, Rules
from tests.tiny import BY_SCORE

QUERY = "usb c charger 65 watt"
# A query fits if more than half of its words are known: 0.5 is the probability at that share.
FITS = LogisticModel(-4.0, {"known_words": 8.0})
RECALLED = StageModel(FITS, LogisticModel(-2.0, {"cosine": 3.0, "lexical_score": 3.0}), 0.5)
RERANKED = StageModel(FITS, LogisticModel(0.0, {"logit": 8.0}), 0.5)


@pytest.fixture(scope="module")
def calibrated(tiny_bundle, tmp_path_factory) -> Engine:
    directory = tmp_path_factory.mktemp("calibrated") / "bundle"
    shutil.copytree(tiny_bundle, directory)
    manifest = replace(Manifest.read(directory), calibration=Calibration(RECALLED, RERANKED))
    manifest.with_files(manifest.files).write(directory)
    return Engine.load(directory, BY_SCORE)


@pytest.fixture(scope="module")
def everything(calibrated) -> list:
    """All hits of the query."""
    return list(calibrated.search(SearchRequest(QUERY, page_size=100)).hits)


def ids(hits) -> list[str]:
    return [hit.item_id for hit in hits]


def test_a_bundle_without_calibration_has_no_relevance(tiny_bundle):
    result = Engine.load(tiny_bundle, BY_SCORE).search(SearchRequest(QUERY, min_relevance=1.0))
    assert len(result.hits) == 10
    assert {hit.relevance for hit in result.hits} == {None}
    assert (result.relevant, result.nothing_fits) == (None, False)


def test_relevance_falls_along_the_list_and_changes_no_order(calibrated, everything, tiny_bundle):
    relevance = [hit.relevance for hit in everything]
    assert relevance == sorted(relevance, reverse=True)
    assert 0 < relevance[-1] < relevance[0] < 1
    uncalibrated = Engine.load(tiny_bundle, BY_SCORE).search(SearchRequest(QUERY, page_size=100))
    assert ids(everything) == ids(uncalibrated.hits)


def test_relevance_is_computed_from_the_signals_of_the_hits(calibrated, everything):
    first = everything[0]
    assert first.signals["logit"] == pytest.approx(first.rerank_score)
    assert first.signals["cosine"] == pytest.approx(first.channel_scores["dense"])
    assert first.signals["lexical_score"] == pytest.approx(first.channel_scores["lexical"])
    assert first.signals["known_words"] == 1.0
    estimate = calibrated.manifest.calibration.reranked
    arrays = {name: np.array([value], np.float32) for name, value in first.signals.items()}
    [fits], [relevant] = probability(estimate.fits, arrays), probability(estimate.relevant, arrays)
    assert first.relevance == pytest.approx(fits * relevant)


def test_a_minimum_leaves_out_what_is_less_relevant_on_every_page(calibrated, everything):
    minimum = everything[12].relevance
    expected = [hit for hit in everything if hit.relevance >= minimum]
    assert 13 <= len(expected) < len(everything)
    pages, offset = [], 0
    while True:
        request = SearchRequest(QUERY, min_relevance=minimum, page_size=5, offset=offset)
        result = calibrated.search(request)
        pages += result.hits
        offset += 5
        if not result.has_more:
            break
    assert ids(pages) == ids(expected)
    assert result.relevant == round(sum(hit.relevance for hit in expected))


def test_the_default_minimum_is_a_setting_which_requests_replace(calibrated, everything):
    minimum = everything[3].relevance
    engine = Engine.load(calibrated.directory, replace(BY_SCORE, min_relevance=minimum))
    request = SearchRequest(QUERY, page_size=100)
    kept = engine.search(request).hits
    assert ids(kept) == ids(hit for hit in everything if hit.relevance >= minimum)
    assert len(kept) < len(everything)
    assert len(engine.search(replace(request, min_relevance=0.0)).hits) == len(everything)


def test_facets_count_what_is_relevant(calibrated, everything):
    minimum = everything[12].relevance
    kept = [hit for hit in everything if hit.relevance >= minimum]
    facets = (Facet("brand"), Facet("brand", scope="matched"))
    request = SearchRequest(QUERY, facets=facets, min_relevance=minimum)
    recalled, matched = calibrated.search(request).facets
    assert recalled.known_count == len(kept)
    assert matched.known_count == len(everything)


def test_pinned_items_stay_whatever_their_relevance(calibrated, everything):
    pin = everything[-1].item_id
    request = SearchRequest(QUERY, min_relevance=0.999, rules=Rules(pins=(Pin(pin, 2),)))
    result = calibrated.search(request)
    assert ids(result.hits) == [pin]
    assert result.hits[0].relevance < 0.999
    assert not result.nothing_fits
    # The item is last in the list, so its own relevance there is the least of all items' estimates.
    assert result.hits[0].relevance >= everything[-1].relevance


def test_nothing_fits_a_query_of_unknown_words_and_the_results_are_kept(calibrated):
    result = calibrated.search(SearchRequest("qwertyuiop"))
    assert result.nothing_fits
    assert result.relevant == 0
    assert len(result.hits) == 10
    assert result.hits[0].signals["known_words"] == 0.0
    assert not calibrated.search(SearchRequest(QUERY)).nothing_fits


def test_words_of_limits_and_exclusions_do_not_count_as_unknown(calibrated):
    # Without the limit and the exclusion, all words are known; with them, only two of seven.
    result = calibrated.search(SearchRequest("usb charger cheaper than 5000 without xylophones"))
    assert result.interpretation.limits
    assert result.interpretation.exclusions
    assert not result.nothing_fits
    assert result.hits[0].signals["known_words"] == 1.0


def test_nothing_fits_if_no_item_passes_the_filter(calibrated):
    request = SearchRequest(QUERY, filter=Equals("brand", "Nobody"))
    assert calibrated.search(request).nothing_fits
    assert calibrated.search(replace(request, rerank_depth=0)).nothing_fits


def test_recall_alone_has_a_calibration_of_its_own(calibrated):
    hits = calibrated.search(SearchRequest(QUERY, rerank_depth=0, page_size=100)).hits
    relevance = [hit.relevance for hit in hits]
    assert relevance == sorted(relevance, reverse=True)
    assert all(hit.rerank_score is None for hit in hits)
    fits = 1 / (1 + math.exp(-4))
    total = -2 + 3 * hits[0].signals["cosine"] + 3 * hits[0].signals["lexical_score"]
    assert relevance[0] == pytest.approx(fits / (1 + math.exp(-total)))


def test_the_page_in_recall_order_has_the_relevance_of_recall(calibrated):
    pages = []
    calibrated.search(SearchRequest(QUERY), pages.append)
    recalled = calibrated.search(SearchRequest(QUERY, rerank_depth=0))
    assert [hit.relevance for hit in pages[0].hits] == [hit.relevance for hit in recalled.hits]


def test_browsing_has_no_relevance(calibrated):
    request = SearchRequest(filter=Equals("brand", "Voltix"), min_relevance=1.0)
    result = calibrated.search(request)
    assert len(result.hits) == 10
    assert result.hits[0].relevance is None
    assert not result.nothing_fits


def test_the_relevance_of_a_page_does_not_depend_on_the_page(calibrated):
    long = calibrated.search(SearchRequest(QUERY, recall_depth=5, page_size=20)).hits
    second = calibrated.search(SearchRequest(QUERY, recall_depth=5, page_size=10, offset=10)).hits
    assert [hit.relevance for hit in second] == [hit.relevance for hit in long[10:]]
