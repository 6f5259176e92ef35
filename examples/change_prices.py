"""Write new prices to a running server that was started with `--state`.

python examples/change_prices.py ch65=19.90 ch20=9.90
"""

import argparse

from shortlist.client import Client
from shortlist.requests import upsert
from shortlist.v1.item_pb2 import Item


def main() -> None:
    """Send one write for each price, and print the result of each write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("prices", nargs="+", metavar="ITEM_ID=PRICE")
    parser.add_argument("--address", default="127.0.0.1:50051")
    arguments = parser.parse_args()
    prices = [text.rpartition("=") for text in arguments.prices]
    # With `fields`, a write changes only these fields, and the item must exist.
    writes = [
        upsert(Item(item_id=item_id, price=float(price)), fields=["price"])
        for item_id, _, price in prices
    ]
    with Client(arguments.address, timeout_seconds=10.0) as client:
        answers = client.upsert_items(writes)
        for (item_id, _, price), answer in zip(prices, answers, strict=True):
            problem = answer.error.message
            print(f"{item_id}: {problem}" if problem else f"{item_id}: {price}")


if __name__ == "__main__":
    main()
