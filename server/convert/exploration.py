"""Convert explorations between the contract and the engine."""

import secrets

from base.errors import RequestError
from search.exploration.request import MAX_SEED, Exploration, Method
from server.convert.page_tokens import Page
from shortlist.v1 import exploration_pb2, recommend_service_pb2, search_service_pb2

_METHODS = {
    exploration_pb2.EXPLORATION_METHOD_EPSILON_GREEDY: Method.EPSILON_GREEDY,
    exploration_pb2.EXPLORATION_METHOD_THOMPSON_SAMPLING: Method.THOMPSON_SAMPLING,
}


def exploration_record(
    message: search_service_pb2.SearchRequest | recommend_service_pb2.RecommendRequest, page: Page
) -> Exploration | None:
    """Return the exploration of a request for a page; the server draws a seed that is not set.

    Raises:
        RequestError: a field is out of its limits.
    """
    if not message.HasField("exploration"):
        return None
    exploration = message.exploration
    if exploration.method not in _METHODS:
        known = "EXPLORATION_METHOD_EPSILON_GREEDY, EXPLORATION_METHOD_THOMPSON_SAMPLING"
        raise RequestError("exploration.method", f"is unknown; give {known}")
    seed = exploration.seed or page.seed or 1 + secrets.randbelow(MAX_SEED)
    return Exploration(_METHODS[exploration.method], exploration.share, seed)
