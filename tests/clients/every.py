"""What every method and every mistake gives a client, in every language."""

import re
from collections.abc import Mapping

from tests.clients.behaviour import Example

# By what a client asks. DEADLINE_PASSED is left open, for gRPC may notice a deadline before the
# server has said anything.
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
    "a reader that writes": "PERMISSION_DENIED ROLE_MISSING",
    "no reranker": "FAILED_PRECONDITION NOT_SUPPORTED",
    "no state": "FAILED_PRECONDITION READ_ONLY",
    "a bundle elsewhere": "INVALID_ARGUMENT INVALID_FIELD",
    "no bundle": "FAILED_PRECONDITION BUNDLE_REFUSED",
    "nothing to roll back to": "FAILED_PRECONDITION NOTHING_TO_ROLL_BACK_TO",
}

# What no client can bring about by itself, with where it is tested.
ELSEWHERE: Mapping[str, str] = {
    "DEADLINE_PASSED": "tests/server/test_errors.py",
    "OVERLOADED": "tests/server/test_lifecycle.py",
    "SHUTTING_DOWN": "tests/server/test_errors.py",
    "INTERNAL_FAULT": "tests/server/test_errors.py",
    "DISK_FAILED": "tests/server/test_errors.py",
    "LOAD_UNDER_WAY": "tests/server/test_bundles.py",
}


def asks_everything(run: Example, flags: Mapping[str, object]) -> None:
    """Every call ends as it should."""
    code, printed = run(flags, ())
    assert code == 0
    assert {name: canonical(end) for name, end in printed.items()} == ENDS


def canonical(end: str) -> str:
    """As it is written in the contract; Go writes codes as InvalidArgument."""
    code, _, reason = end.partition(" ")
    if not code.isupper():
        code = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", code).upper()
    if code == "DEADLINE_EXCEEDED":
        return code
    return f"{code} {reason}".strip()
