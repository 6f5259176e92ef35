"""Searches the items of one brand below a price, and prints one JSON object.

python clients/python/search.py --brand Voltix --below 50 "usb c charger"

With `--stream` it prints one of each message of StreamSearch.
"""

import json
import sys
from collections.abc import Iterator

from arguments import Arguments, failure_of, parse, printable, printable_part

from shortlist import filters
from shortlist.client import Client, ShortlistError
from shortlist.v1.search_service_pb2 import SearchResponse, StreamSearchResponse


def search(given: Arguments) -> SearchResponse:
    """Returns what the server found."""
    affordable = filters.all_of(
        filters.equals("brand", given.brand), filters.between("price", below=given.below)
    )
    with Client(given.address, tls=given.tls, timeout_seconds=10) as client:
        return client.search(given.query, filter=affordable, page_size=given.page_size)


def streamed(given: Arguments) -> Iterator[StreamSearchResponse]:
    """Yields the page of stage 1 as soon as it is there, then the one that Search would return."""
    affordable = filters.all_of(
        filters.equals("brand", given.brand), filters.between("price", below=given.below)
    )
    with Client(given.address, tls=given.tls, timeout_seconds=10) as client:
        yield from client.stream_search(given.query, filter=affordable, page_size=given.page_size)


def run(given: Arguments) -> object:
    """Returns what is to be printed."""
    if given.stream:
        return [printable_part(part) for part in streamed(given)]
    return printable(search(given))


if __name__ == "__main__":
    try:
        print(json.dumps(run(parse())))
    except ShortlistError as error:
        print(json.dumps(failure_of(error)))
        sys.exit(1)
