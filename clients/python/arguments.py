"""What both Python examples are told, and what they print."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from shortlist.client import ShortlistError, Tls
from shortlist.v1.search_service_pb2 import SearchPhase, SearchResponse, StreamSearchResponse


@dataclass(frozen=True)
class Arguments:
    """A search, and where to ask for it."""

    query: str
    address: str
    tls: Tls | None
    brand: str
    below: float
    page_size: int
    stream: bool


def parse() -> Arguments:
    """Returns what the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("query", nargs="+")
    parser.add_argument("--address", default="127.0.0.1:50051")
    for name in ("ca", "cert", "key"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--brand", default="")
    parser.add_argument("--below", type=float, default=1000)
    parser.add_argument("--page-size", type=int, default=5)
    parser.add_argument("--stream", action="store_true")
    given = parser.parse_args()
    return Arguments(
        query=" ".join(given.query),
        address=given.address,
        tls=Tls(given.ca, given.cert, given.key) if given.ca else None,
        brand=given.brand,
        below=given.below,
        page_size=given.page_size,
        stream=given.stream,
    )


def printable(response: SearchResponse) -> dict[str, object]:
    """Returns the results for JSON."""
    results = [
        {
            "rank": result.rank,
            "score": result.score,
            "id": result.item_id,
            "title": result.item.title,
            "price": result.item.price,
        }
        for result in response.results
    ]
    return {"results": results, "matched": response.matched_count}


def printable_part(part: StreamSearchResponse) -> dict[str, object]:
    """Returns one message of StreamSearch for JSON."""
    phase = SearchPhase.Name(part.phase)
    return {"phase": phase, "last": part.last, "page": printable(part.search)}


def failure_of(error: ShortlistError) -> dict[str, object]:
    """Returns what a failed call says for JSON."""
    return {
        "code": error.code.name,
        "message": error.message,
        "reason": error.reason,
        "violations": [
            {"field": violation.field, "problem": violation.problem}
            for violation in error.field_violations
        ],
        "retrySeconds": error.retry_seconds,
    }
