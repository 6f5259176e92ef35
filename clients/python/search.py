"""Search the items of one brand below a price and print the results as JSON.

python clients/python/search.py --brand Voltix --below 50 "usb c charger"

With `--stream`, it calls StreamSearch and prints both messages.
"""

import json
import sys
from collections.abc import Iterator

from arguments import Arguments, error_json, page_json, parse, part_json

from shortlist import filters
from shortlist.client import Client, ShortlistError
from shortlist.v1.search_service_pb2 import SearchResponse, StreamSearchResponse


def search(arguments: Arguments) -> SearchResponse:
    """Return the best matches."""
    filter = filters.all_of(
        filters.equals("brand", arguments.brand), filters.between("price", below=arguments.below)
    )
    with Client(arguments.address, tls=arguments.tls, timeout_seconds=10) as client:
        return client.search(
            arguments.query,
            filter=filter,
            order_by=arguments.order_by,
            page_size=arguments.page_size,
        )


def stream_search(arguments: Arguments) -> Iterator[StreamSearchResponse]:
    """Yield the page in recall order, then the reranked page."""
    filter = filters.all_of(
        filters.equals("brand", arguments.brand), filters.between("price", below=arguments.below)
    )
    with Client(arguments.address, tls=arguments.tls, timeout_seconds=10) as client:
        yield from client.stream_search(
            arguments.query,
            filter=filter,
            order_by=arguments.order_by,
            page_size=arguments.page_size,
        )


def run(arguments: Arguments) -> object:
    """Run the search and return the output for JSON."""
    if arguments.stream:
        return [part_json(part) for part in stream_search(arguments)]
    return page_json(search(arguments))


if __name__ == "__main__":
    try:
        print(json.dumps(run(parse())))
    except ShortlistError as error:
        print(json.dumps(error_json(error)))
        sys.exit(1)
