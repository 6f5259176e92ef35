"""Search within a filter, count facets, then browse the same items without a query.

python examples/filters_and_facets.py "usb c charger" --below 50
"""

import argparse

from shortlist import filters
from shortlist.client import Client
from shortlist.v1.facet_pb2 import FACET_SCOPE_MATCHED, Facet


def main() -> None:
    """Print the matching items, the facet counts, and the most popular items."""
    parser = argparse.ArgumentParser()
    parser.add_argument("query")
    parser.add_argument("--below", type=float, default=50.0, help="upper price limit, excluded")
    parser.add_argument("--address", default="127.0.0.1:50051")
    arguments = parser.parse_args()
    # A missing value passes no comparison, so the negation also keeps items of unknown stock.
    available = filters.all_of(
        filters.between("price", below=arguments.below),
        filters.negate(filters.equals("in_stock", False)),
    )
    with Client(arguments.address, timeout_seconds=10.0) as client:
        response = client.search(
            arguments.query,
            filter=available,
            facets=[Facet(field="brand", scope=FACET_SCOPE_MATCHED)],
            highlight=True,
        )
        cheapest = client.search(arguments.query, filter=available, order_by="price", page_size=3)
        popular = client.search("", filter=available, page_size=3)
    print(f"{response.matched_count} items match")
    for result in response.results:
        print(f"{result.rank}. {result.item.title}, {result.item.price:.2f}")
        for found in result.highlights:
            print("  ", found.field, [found.snippet[span.start : span.end] for span in found.spans])
    for facet in response.facets:
        print(facet.field, {value.value.text: value.count for value in facet.values})
    print("cheapest:", [result.item_id for result in cheapest.results])
    print("popular:", [result.item_id for result in popular.results])


if __name__ == "__main__":
    main()
