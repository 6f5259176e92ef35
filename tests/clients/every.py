"""What every method and every mistake gives a client, in every language."""

import re
from collections.abc import Mapping

from tests.clients.behaviour import Example
from tests.server.interceptors.test_errors import EXPECTED

# What each of the server's exceptions ends a call with: code, reason, seconds to wait.
RAISED: Mapping[str, str] = {
    f"raised: {name}": f"{code.name} {reason}" + " 1.25" * (reason == "OVERLOADED")
    for name, (_, code, reason) in EXPECTED.items()
}
# By what a client asks.
ENDS: Mapping[str, str] = {
    "Search": "OK",
    "StreamSearch": "OK",
    "Retrieve": "OK",
    "SimilarItems": "OK",
    "Embed": "OK",
    "Rerank": "OK",
    "GetItem": "OK",
    "BatchGetItems": "OK",
    "UpsertItems": "OK",
    "DeleteItems": "OK",
    "GetStatus": "OK",
    "no query": "INVALID_ARGUMENT INVALID_FIELD",
    "a write without an id": "INVALID_ARGUMENT INVALID_FIELD",
    "bytes that are no message": "INVALID_ARGUMENT MALFORMED_REQUEST",
    "a token of nobody's": "INVALID_ARGUMENT PAGE_TOKEN_MISMATCH",
    "a token of another bundle": "INVALID_ARGUMENT PAGE_TOKEN_EXPIRED",
    "an unknown item": "NOT_FOUND UNKNOWN_ITEM",
    "a deadline that passes": "DEADLINE_EXCEEDED",
    "no token": "UNAUTHENTICATED TOKEN_REQUIRED",
    "an unknown token": "UNAUTHENTICATED TOKEN_REQUIRED",
    "a token of before": "UNAUTHENTICATED TOKEN_REQUIRED",
    "a reader that writes": "PERMISSION_DENIED ROLE_MISSING",
    "no reranker": "FAILED_PRECONDITION NOT_SUPPORTED",
    "no state": "FAILED_PRECONDITION READ_ONLY",
    "a bundle elsewhere": "INVALID_ARGUMENT INVALID_FIELD",
    "no bundle": "FAILED_PRECONDITION BUNDLE_REFUSED",
    "nothing to roll back to": "FAILED_PRECONDITION NOTHING_TO_ROLL_BACK_TO",
    **RAISED,
    "LoadBundle": "OK",
    "RollBack": "OK",
}
# gRPC may notice a deadline before the server has said anything.
WITHOUT_REASON = "a deadline that passes"


def asks_everything(run: Example, flags: Mapping[str, object]) -> None:
    """Every call ends as it should."""
    code, printed = run(flags, ())
    assert code == 0
    ends = {name: canonical(end) for name, end in printed.items()}
    ends[WITHOUT_REASON] = ends[WITHOUT_REASON].partition(" ")[0]
    assert ends == ENDS


def canonical(end: str) -> str:
    """As it is written in the contract; Go writes codes as InvalidArgument."""
    code, space, reason = end.partition(" ")
    if not code.isupper():
        code = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", code).upper()
    return code + space + reason
