"""Do the same as search.py, with asyncio.

python clients/python/search_aio.py --brand Voltix --below 50 "usb c charger"
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator

from arguments import Arguments, error_json, page_json, parse, part_json

from shortlist import filters
from shortlist.aio import AsyncClient, ShortlistError
from shortlist.v1.search_service_pb2 import SearchResponse, StreamSearchResponse


async def search(arguments: Arguments) -> SearchResponse:
    """Return the best matches."""
    filter = filters.all_of(
        filters.equals("brand", arguments.brand), filters.between("price", below=arguments.below)
    )
    async with AsyncClient(arguments.address, tls=arguments.tls, timeout_seconds=10) as client:
        return await client.search(
            arguments.query,
            filter=filter,
            order_by=arguments.order_by,
            page_size=arguments.page_size,
        )


async def stream_search(arguments: Arguments) -> AsyncIterator[StreamSearchResponse]:
    """Yield the page in recall order, then the reranked page."""
    filter = filters.all_of(
        filters.equals("brand", arguments.brand), filters.between("price", below=arguments.below)
    )
    async with AsyncClient(arguments.address, tls=arguments.tls, timeout_seconds=10) as client:
        parts = client.stream_search(
            arguments.query,
            filter=filter,
            order_by=arguments.order_by,
            page_size=arguments.page_size,
        )
        async for part in parts:
            yield part


async def run(arguments: Arguments) -> object:
    """Run the search and return the output for JSON."""
    if arguments.stream:
        return [part_json(part) async for part in stream_search(arguments)]
    return page_json(await search(arguments))


if __name__ == "__main__":
    try:
        print(json.dumps(asyncio.run(run(parse()))))
    except ShortlistError as error:
        print(json.dumps(error_json(error)))
        sys.exit(1)
