"""Search a running server and print the scores of each stage.

python examples/print_scores.py "usb c charger"
"""

import argparse

from shortlist.client import Client, ShortlistError


def main() -> None:
    """Print the first results with their scores, and the work and time of each stage."""
    parser = argparse.ArgumentParser()
    parser.add_argument("query")
    parser.add_argument("--address", default="127.0.0.1:50051")
    arguments = parser.parse_args()
    with Client(arguments.address, timeout_seconds=10.0) as client:
        try:
            response = client.search(arguments.query, page_size=5)
        except ShortlistError as error:
            raise SystemExit(f"error: {error}") from None
    for result in response.results:
        scores = f"recall {result.recall_score:.3f}"
        if result.HasField("rerank_score"):
            scores += f", rerank {result.rerank_score:.3f}"
        print(f"{result.rank}. {result.item.title} ({scores})")
    for stage in response.stages:
        milliseconds = stage.duration.ToNanoseconds() / 1e6
        print(f"{stage.name}: {stage.candidate_count} candidates, {milliseconds:.1f} ms")


if __name__ == "__main__":
    main()
