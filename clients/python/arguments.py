"""The arguments and the JSON output of both Python examples."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from shortlist.client import ShortlistError, Tls
from shortlist.v1.search_service_pb2 import SearchPhase, SearchResponse, StreamSearchResponse


@dataclass(frozen=True)
class Arguments:
    """The arguments of a search, and the address of the server."""

    query: str
    address: str
    tls: Tls | None
    brand: str
    below: float
    order_by: str
    page_size: int
    stream: bool


def parse() -> Arguments:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("query", nargs="+")
    parser.add_argument("--address", default="127.0.0.1:50051")
    for name in ("ca", "cert", "key"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--brand", default="")
    parser.add_argument("--below", type=float, default=1000)
    parser.add_argument("--order-by", default="")
    parser.add_argument("--page-size", type=int, default=5)
    parser.add_argument("--stream", action="store_true")
    flags = parser.parse_args()
    return Arguments(
        query=" ".join(flags.query),
        address=flags.address,
        tls=Tls(flags.ca, flags.cert, flags.key) if flags.ca else None,
        brand=flags.brand,
        below=flags.below,
        order_by=flags.order_by,
        page_size=flags.page_size,
        stream=flags.stream,
    )


def page_json(response: SearchResponse) -> dict[str, object]:
    """Convert a page of results to JSON."""
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


def part_json(part: StreamSearchResponse) -> dict[str, object]:
    """Convert a message of StreamSearch to JSON."""
    phase = SearchPhase.Name(part.phase)
    return {"phase": phase, "last": part.last, "page": page_json(part.search)}


def error_json(error: ShortlistError) -> dict[str, object]:
    """Convert the error of a call to JSON."""
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
