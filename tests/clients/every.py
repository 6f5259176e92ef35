"""The expected outcome of every method and every error, for clients in every language."""

import re
from collections.abc import Mapping

from tests.clients.behaviour import Example
from tests.server.interceptors.test_errors import EXPECTED

# The outcome of each exception of the server: its code, its reason and, for OVERLOADED, the seconds
# until a retry.
RAISED: Mapping[str, str] = {
    f"raised: {name}": f"{code.name} {reason}" + " 1.25" * (reason == "OVERLOADED")
    for name, (_, code, reason) in EXPECTED.items()
}
# The outcome of each call: its code and, for an error, its reason.
OUTCOMES: Mapping[str, str] = {
    "Search": "OK",
    "StreamSearch": "OK",
    "Retrieve": "OK",
    "SimilarItems": "OK",
    "Embed": "OK",
    "Rerank": "OK",
    "Suggest": "OK",
    "Recommend": "OK",
    "GetItem": "OK",
    "BatchGetItems": "OK",
    "UpsertItems": "OK",
    "DeleteItems": "OK",
    "SetCuration": "OK",
    "ListCurations": "OK",
    "RecordEvents": "OK",
    "GetStatus": "OK",
    "a search without a query": "INVALID_ARGUMENT INVALID_FIELD",
    "a write without an id": "INVALID_ARGUMENT INVALID_FIELD",
    "a malformed message": "INVALID_ARGUMENT MALFORMED_REQUEST",
    "an invalid page token": "INVALID_ARGUMENT PAGE_TOKEN_MISMATCH",
    "a page token of another bundle": "INVALID_ARGUMENT PAGE_TOKEN_EXPIRED",
    "an unknown item": "NOT_FOUND UNKNOWN_ITEM",
    "a deadline that passes": "DEADLINE_EXCEEDED",
    "a search without a token": "UNAUTHENTICATED TOKEN_REQUIRED",
    "an unknown token": "UNAUTHENTICATED TOKEN_REQUIRED",
    "a revoked token": "UNAUTHENTICATED TOKEN_REQUIRED",
    "a write with a reader's token": "PERMISSION_DENIED ROLE_MISSING",
    "a rerank without a reranker": "FAILED_PRECONDITION NOT_SUPPORTED",
    "a write without a state directory": "FAILED_PRECONDITION READ_ONLY",
    "a bundle outside the root": "INVALID_ARGUMENT INVALID_FIELD",
    "a damaged bundle": "FAILED_PRECONDITION BUNDLE_REFUSED",
    "a rollback without a previous bundle": "FAILED_PRECONDITION NOTHING_TO_ROLL_BACK_TO",
    **RAISED,
    "LoadBundle": "OK",
    "RollBack": "OK",
}
# The client may notice the deadline before the server answers, so the reason may be missing.
WITHOUT_REASON = "a deadline that passes"


def check_every_call(run: Example, flags: Mapping[str, object]) -> None:
    """Check that every call has the expected outcome."""
    code, printed = run(flags, ())
    assert code == 0
    outcomes = {name: canonical(outcome) for name, outcome in printed.items()}
    outcomes[WITHOUT_REASON] = outcomes[WITHOUT_REASON].partition(" ")[0]
    assert outcomes == OUTCOMES


def canonical(outcome: str) -> str:
    """Return an outcome with the code as in the contract.

    Go prints InvalidArgument; the contract has INVALID_ARGUMENT.
    """
    code, space, reason = outcome.partition(" ")
    if not code.isupper():
        code = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", code).upper()
    return code + space + reason
