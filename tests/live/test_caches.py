"""Results that the engine caches between searches, and changes that the caches must not hide."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import jax.numpy as jnp
import pytest

from bert.numerics import choose_numerics
from rerank.features import FEATURE_NAMES
from rerank.model import load_reranker, save_reranker
from search import bundle
from search.engine import Engine
from search.request import SearchRequest
from search.result import SearchResult
from tests.tiny import tiny_items, write_bundle, write_manifest

# This is not a golden query, because loading a bundle caches the results of golden queries.
QUERY = "voltix charger"
ITEMS = len(tiny_items())


@pytest.fixture(scope="module")
def priced(tmp_path_factory, tiny_bundle) -> Callable[[str, int], Path]:
    """Return a function that writes a bundle, which may lack the first few items.

    The reranker of the bundle has a weight for the price.
    """
    root = tmp_path_factory.mktemp("priced")

    def priced(name: str, without: int = 0) -> Path:
        directory = root / name
        if not directory.exists():
            if without:
                write_bundle(directory, tiny_items()[without:], choose_numerics())
            else:
                shutil.copytree(tiny_bundle, directory)
            reranker = load_reranker(directory / bundle.RERANK)
            weights = reranker.linear.kernel
            weights[...] = weights[...].at[FEATURE_NAMES.index("price")].set(0.5)
            # The score depends on the text, so a cached result of another pair would change it.
            reranker.output.kernel[...] = jnp.ones_like(reranker.output.kernel[...])
            save_reranker(reranker, directory / bundle.RERANK)
            write_manifest(directory, choose_numerics())
        return directory

    return priced


def search(engine: Engine) -> tuple[SearchResult, Mapping[str, int]]:
    """Rerank every item; return the result, and how many results each stage took from a cache."""
    result = engine.search(SearchRequest(QUERY, page_size=ITEMS, rerank_depth=ITEMS))
    return result, {stage.name: stage.cached for stage in result.stages}


def scores(result: SearchResult) -> Mapping[str, float | None]:
    return {hit.item_id: hit.rerank_score for hit in result.hits}


def test_a_new_price_changes_scores_at_once_though_all_pairs_are_cached(opened, priced):
    item = tiny_items()[7].item_id
    with opened(root=priced("all")) as shop:
        before, cached = search(shop.engine)
        assert (cached["encode"], cached["rerank"], before.reranked) == (0, 0, ITEMS)
        assert search(shop.engine)[1]["rerank"] == ITEMS
        shop.write(item, {"price": 9.0}, whole=False)
        after, cached = search(shop.engine)
        assert (cached["encode"], cached["rerank"]) == (1, ITEMS)
        changed = {i for i, score in scores(after).items() if score != scores(before)[i]}
        assert changed == {item}
    # The second shop reads the same write from the log. Its caches are empty.
    with opened(root=priced("all")) as shop:
        cold, cached = search(shop.engine)
        assert (cached["encode"], cached["rerank"]) == (0, 0)
        assert scores(cold) == pytest.approx(scores(after), abs=1e-5)


def test_a_new_text_of_an_item_is_reranked_again(opened, priced):
    item = tiny_items()[7].item_id
    with opened(root=priced("all")) as shop:
        search(shop.engine)
        shop.write(item, {"title": "Zyx brass reading lamp"}, whole=False)
        shop.shown()
        after, cached = search(shop.engine)
        assert cached["rerank"] == ITEMS - 1
    with opened(root=priced("all")) as shop:
        shop.shown()
        cold, cached = search(shop.engine)
        assert cached["rerank"] == 0
        assert scores(cold) == pytest.approx(scores(after), abs=1e-5)


def test_another_bundle_begins_with_empty_caches_even_with_the_same_models(opened, priced):
    with opened(root=priced("all")) as shop:
        search(shop.engine)
        before = shop.engine
        shop.live.adopt(Engine.load(priced("fewer", 5), models=before.models))
        assert shop.engine.models is before.models
        after, cached = search(shop.engine)
        assert not any(cached.values())
        # Items have other rows in this bundle, so a result cached by row would be of another item.
        cold, _ = search(Engine.load(priced("fewer", 5)))
        assert scores(after) == pytest.approx(scores(cold), abs=1e-5)
