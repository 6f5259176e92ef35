"""The same as search.py with asyncio.

python clients/python/search_aio.py --brand Voltix --below 50 "usb c charger"
"""

import asyncio
import json
import sys

from arguments import Arguments, failure_of, parse, printable

from shortlist import filters
from shortlist.aio import AsyncClient, ShortlistError
from shortlist.v1.search_service_pb2 import SearchResponse


async def search(given: Arguments) -> SearchResponse:
    """Returns what the server found."""
    affordable = filters.all_of(
        filters.equals("brand", given.brand), filters.between("price", below=given.below)
    )
    async with AsyncClient(given.address, tls=given.tls, timeout_seconds=10) as client:
        return await client.search(given.query, filter=affordable, page_size=given.page_size)


if __name__ == "__main__":
    try:
        print(json.dumps(printable(asyncio.run(search(parse())))))
    except ShortlistError as error:
        print(json.dumps(failure_of(error)))
        sys.exit(1)
