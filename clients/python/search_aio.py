"""The same as search.py with asyncio.

python clients/python/search_aio.py --brand Voltix --below 50 "usb c charger"
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator

from arguments import Arguments, failure_of, parse, printable, printable_part

from shortlist import filters
from shortlist.aio import AsyncClient, ShortlistError
from shortlist.v1.search_service_pb2 import SearchResponse, StreamSearchResponse


async def search(given: Arguments) -> SearchResponse:
    """Returns what the server found."""
    affordable = filters.all_of(
        filters.equals("brand", given.brand), filters.between("price", below=given.below)
    )
    async with AsyncClient(given.address, tls=given.tls, timeout_seconds=10) as client:
        return await client.search(given.query, filter=affordable, page_size=given.page_size)


async def streamed(given: Arguments) -> AsyncIterator[StreamSearchResponse]:
    """Yields the page of stage 1 as soon as it is there, then the one that Search would return."""
    affordable = filters.all_of(
        filters.equals("brand", given.brand), filters.between("price", below=given.below)
    )
    async with AsyncClient(given.address, tls=given.tls, timeout_seconds=10) as client:
        parts = client.stream_search(given.query, filter=affordable, page_size=given.page_size)
        async for part in parts:
            yield part


async def run(given: Arguments) -> object:
    """Returns what is to be printed."""
    if given.stream:
        return [printable_part(part) async for part in streamed(given)]
    return printable(await search(given))


if __name__ == "__main__":
    try:
        print(json.dumps(asyncio.run(run(parse()))))
    except ShortlistError as error:
        print(json.dumps(failure_of(error)))
        sys.exit(1)
