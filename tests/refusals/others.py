"""Requests of other methods than Search that break a limit."""

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from catalog.filters import Equals
from catalog.items import Item
from search import request
from shortlist import filters
from shortlist.v1 import (
    catalog_service_pb2,
    rerank_service_pb2,
    retrieval_service_pb2,
    suggestion_service_pb2,
)
from tests.refusals.refusal import Refusal, item_message


def retrieval_refusals() -> Iterator[Refusal]:
    def refusal(error: str, message: dict[str, Any] | None, *query: str, **fields: Any):
        asked = retrieval_service_pb2.RetrieveRequest(**message or {})
        python = partial(request.RetrieveRequest, *query, **fields)
        return Refusal(error, python, None if message is None else asked)

    yield refusal("input: is empty; give one of query and vector", {})
    unit = np.ones(2, np.float32)
    both = "input: has a query and a vector; give one of query and vector"
    yield refusal(both, None, "q", vector=unit)
    yield refusal("query: is empty; give the words to search for", {"query": " "}, " ")
    zeros = "vector: is all zeros; give at least one other number"
    infinite = "vector: has a number that is not finite; give finite numbers"
    for values, error in (
        ([], zeros),
        ([-0.0, 0.0], zeros),
        ([math.nan, 1.0], infinite),
        ([1.0, -math.inf], infinite),
    ):
        vector = np.array(values, np.float32)
        yield refusal(error, {"vector": {"values": values}}, vector=vector)
    yield refusal(
        "channels: has a channel that needs a text; give the dense channel or none",
        {"vector": {"values": [1.0, 1.0]}, "channels": ["CHANNEL_LEXICAL"]},
        vector=unit,
        channels=(request.LEXICAL,),
    )
    size = "page_size: is -1; give 1 to 1,000"
    yield refusal(size, {"query": "q", "page_size": -1}, "q", page_size=-1)
    yield refusal("page_size: is 1,001; give 1 to 1,000", None, "q", page_size=1_001)
    yield refusal(
        "filter.equals.value: is invalid; give text",
        {"query": "q", "filter": filters.equals("brand", 3)},
        "q",
        filter=Equals("brand", 3),
    )
    for item_id, fields, error in (
        ("", {}, "item_id: is empty; give a value"),
        ("a", {"page_size": -1}, "page_size: is -1; give 1 to 100"),
    ):
        similar = partial(request.SimilarItemsRequest, item_id, **fields)
        message = retrieval_service_pb2.SimilarItemsRequest(item_id=item_id, **fields)
        yield Refusal(error, similar, message)
    yield Refusal(
        "page_size: is 101; give 1 to 100",
        partial(request.SimilarItemsRequest, "a", page_size=101),
        None,
    )


def input_refusals() -> Iterator[Refusal]:
    def refusal(error: str, *inputs: str | Item, messages: bool = True):
        asked = retrieval_service_pb2.EmbedRequest(
            inputs=[
                retrieval_service_pb2.EmbedInput(query=given)
                if isinstance(given, str)
                else retrieval_service_pb2.EmbedInput(item=item_message(given))
                for given in (inputs if messages else ())
            ]
        )
        return Refusal(error, partial(request.EmbedRequest, inputs), asked if messages else None)

    yield refusal("inputs: has 0 entries; give 1 to 128")
    yield refusal("inputs: has 129 entries; give 1 to 128", *["x"] * 129)
    yield refusal("inputs[1].query: is empty; give the words to search for", "x", " ")
    yield refusal("inputs[1].item.title: is empty; give a value", "x", Item("", " \t\n"))
    for field, value, problem in (
        ("price", math.nan, "is invalid; give a finite number"),
        ("price", -math.inf, "is invalid; give a finite number"),
        ("rating", math.nan, "is invalid; give a finite number"),
        ("rating", 5.5, "is 5.5; give 0 to 5"),
        ("rating", -0.5, "is -0.5; give 0 to 5"),
        ("rating_count", -1, "is -1; give at least 0"),
    ):
        yield refusal(f"inputs[0].item.{field}: {problem}", Item("", "t", **{field: value}))
    long = "inputs[0].item: has 50,001 characters of text; give at most 50,000"
    yield refusal(long, Item("", "t", description="x" * 50_000))
    yield refusal(long, Item("", "t", attributes={"k": "x" * 49_999}))
    surrogate = "has a lone surrogate (half a character); remove it"
    yield refusal(f"inputs[0].item.brand: {surrogate}", Item("", "t", "", "\ud800"), messages=False)


def candidate_refusals() -> Iterator[Refusal]:
    def refusal(error: str, *candidates: str | Item, query: str = "q"):
        asked = rerank_service_pb2.RerankRequest(
            query=query,
            candidates=[
                rerank_service_pb2.RerankCandidate(item_id=given)
                if isinstance(given, str)
                else rerank_service_pb2.RerankCandidate(item=item_message(given))
                for given in candidates
            ],
        )
        return Refusal(error, partial(request.RerankRequest, query, candidates), asked)

    yield refusal("query: is empty; give the words to search for", "a", query="")
    yield refusal("candidates: has 0 entries; give 1 to 500")
    yield refusal("candidates: has 501 entries; give 1 to 500", *map(str, range(501)))
    yield refusal("candidates[1].item_id: is empty; give a value", "a", "")
    yield refusal("candidates[0].item.item_id: is empty; give a value", Item("", "lamp"))
    yield refusal("candidates[0].item.title: is empty; give a value", Item("a", ""))
    twice = "candidates[1]: has the id of an earlier candidate; give each item once"
    yield refusal(twice, "a", "a")
    yield refusal(twice, "a", Item("a", "lamp"))


def suggest_refusals() -> Iterator[Refusal]:
    def refusal(error: str, message: dict[str, Any] | None, prefix: str = "p", **fields: Any):
        asked = suggestion_service_pb2.SuggestRequest(prefix=prefix, **message or {})
        python = partial(request.SuggestRequest, prefix, **fields)
        return Refusal(error, python, None if message is None else asked)

    yield refusal("prefix: is empty; give the text typed so far", {}, " ")
    yield refusal("prefix: has 201 characters; give 1 to 200", {}, "p" * 201)
    # The normal form of this ligature has eighteen characters.
    yield refusal("prefix: has 216 characters; give 1 to 200", {}, "\ufdfa" * 12)
    yield refusal("page_size: is -1; give 1 to 50", {"page_size": -1}, page_size=-1)
    yield refusal("page_size: is 51; give 1 to 50", None, page_size=51)
    language = "x" * 36
    error = "language: has 36 characters; give at most 35"
    yield refusal(error, {"language": language}, language=language)
    for kind in (0, 5):
        error = "kinds[1]: names no kind of suggestion; give QUERY, CATEGORY, BRAND, TITLE"
        yield refusal(error, {"kinds": [1, kind]}, kinds=(1, kind))


def get_refusals() -> Iterator[Refusal]:
    yield Refusal(
        "item_id: is empty; give a value",
        partial(request.GetItemRequest, ""),
        catalog_service_pb2.GetItemRequest(),
    )
    for item_ids, error in (
        ([], "item_ids: has 0 entries; give 1 to 100"),
        (["a"] * 101, "item_ids: has 101 entries; give 1 to 100"),
        (["a", ""], "item_ids[1]: is empty; give a value"),
    ):
        yield Refusal(
            error,
            partial(request.BatchGetItemsRequest, item_ids),
            catalog_service_pb2.BatchGetItemsRequest(item_ids=item_ids),
        )
    yield Refusal(
        "page_size: is -1; give at least 0",
        partial(request.ListItemsRequest, -1),
        catalog_service_pb2.ListItemsRequest(page_size=-1),
    )
