"""One stage of a search by itself: recall, the nearest items of an item, and reranking."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Float32

from base.errors import RequestError, check_names
from catalog.catalogue import Catalogue
from catalog.item_text import item_text
from catalog.items import Item
from catalog.store import ItemStore
from search.encoding import QueryEncoder
from search.pipeline.filter import passing_items
from search.pipeline.scoring import CandidateScorer
from search.request import DENSE, RerankRequest, RetrieveRequest, SimilarItemsRequest
from search.result import Hit, SearchResult
from search.runtime.deadline import DeadlineBudget
from search.runtime.stage_timer import StageTimer
from search.snapshot import Snapshot
from search.understanding.interpretation import Interpretation
from towers.encoder import TowerEncoder


def retrieve(
    snapshot: Snapshot,
    request: RetrieveRequest,
    understood: Interpretation | None,
    queries: QueryEncoder,
    weights: Mapping[str, float],
    timer: StageTimer,
) -> SearchResult:
    """Return the items that channels find for a query, or the items nearest to a vector.

    Args:
        snapshot: The items.
        request: The request.
        understood: What the query of the request was understood as; None if it has a vector.
        queries: Encodes the query.
        weights: The weight of each channel's scores in the recall score, by channel name.
        timer: The timer of the request.

    Raises:
        RequestError: the bundle lacks a requested channel, or the vector and the index have
            different numbers of dimensions.
        DeadlineExceededError: the deadline passed.
    """
    channels = snapshot.channels
    known = [name for name in channels.names if name not in channels.personal]
    check_names(request.channels, "channels", known, "channel of this bundle")
    vector = request.vector
    if vector is not None:
        vector = _unit_vector(vector, queries.dim)
    passed = passing_items(snapshot, request.filter, timer)
    allowed = snapshot.catalogue.alive if passed is None else passed
    query = None
    if understood is not None:
        with timer.stage("encode") as stage:
            query = queries.query(understood, stage)
    with timer.stage("recall") as stage:
        if query is not None:
            candidates = channels.recall(
                query, request.page_size, weights, request.channels, allowed
            )
        else:
            assert vector is not None
            candidates = channels.nearest(vector, request.page_size, allowed)
        stage.candidates, stage.plan = len(candidates), candidates.plan
    matches = snapshot.count(allowed)
    return SearchResult(
        candidates.hits(snapshot.catalogue, with_items=request.with_items),
        timer.reports,
        recalled=len(candidates),
        reranked=0,
        has_more=len(candidates) < matches,
        matched=None if passed is None else matches,
    )


def similar(snapshot: Snapshot, request: SimilarItemsRequest, timer: StageTimer) -> SearchResult:
    """Return the items nearest to an item of the catalogue, without that item.

    Raises:
        UnknownItemsError: the id is not in the catalogue.
        DeadlineExceededError: the deadline passed.
    """
    [row] = snapshot.rows([request.item_id]).tolist()
    passed = passing_items(snapshot, request.filter, timer)
    others = snapshot.other_items(row, passed, exclude_variants=request.exclude_variants)
    with timer.stage("recall") as stage:
        vector = snapshot.channels.vector(row)
        candidates = snapshot.channels.nearest(vector, request.page_size, others)
        stage.candidates, stage.plan = len(candidates), candidates.plan
    hits = candidates.hits(snapshot.catalogue, with_items=True)
    return SearchResult(hits, timer.reports, recalled=len(candidates), reranked=0)


def rerank(
    snapshot: Snapshot,
    request: RerankRequest,
    understood: Interpretation,
    queries: QueryEncoder,
    encoder: TowerEncoder,
    scorer: CandidateScorer,
    budget: DeadlineBudget,
    timer: StageTimer,
) -> SearchResult:
    """Score the candidates of a request, and return them sorted by score.

    Args:
        snapshot: The items.
        request: The request.
        understood: What the query of the request was understood as.
        queries: Encodes the query.
        encoder: The towers, which encode the inline items.
        scorer: Scores the candidates.
        budget: The deadline budget of the request.
        timer: The timer of the request.

    Raises:
        UnknownItemsError: an id is not in the catalogue.
        DeadlineExceededError: the deadline passed.
    """
    candidates = request.candidates
    rows = snapshot.rows([item for item in candidates if isinstance(item, str)])
    inline = [item for item in candidates if isinstance(item, Item)]
    with timer.stage("encode", len(candidates)) as stage:
        query = queries.query(understood, stage)
        roles = snapshot.catalogue.roles
        vectors = encoder.items([item_text(item, roles) for item in inline])
    described = Catalogue.of(ItemStore.of(inline, roles))
    inline_source = replace(snapshot.feature_source, catalogue=described, channels=None)
    inline_rows = np.arange(len(inline), dtype=np.int32)
    hits: list[Hit] = []
    for source, source_rows, known in (
        (snapshot.feature_source, rows, {}),
        (inline_source, inline_rows, {DENSE: vectors @ query.vector}),
    ):
        scores = scorer.scores(query, source_rows, known, source, budget, timer)
        hits += scores.hits(source.catalogue, source_rows)
    hits.sort(key=lambda hit: -hit.score)
    return SearchResult(
        tuple(hits), timer.reports, recalled=0, reranked=len(hits), rerank_target=len(hits)
    )


def _unit_vector(vector: Float32[np.ndarray, " width"], dim: int) -> Float32[np.ndarray, " dim"]:
    if vector.shape != (dim,):
        raise RequestError(
            "vector", f"has {vector.size:,} numbers; give {dim:,}, the width of the index"
        )
    wide = vector.astype(np.float64)  # in float32, the squares of very small numbers are 0
    return (wide / np.linalg.norm(wide)).astype(np.float32)
