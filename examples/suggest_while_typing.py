"""Print the suggestions for each prefix of a text, as a search box does after each keystroke.

python examples/suggest_while_typing.py "usb ch"
"""

import argparse

from shortlist.client import Client
from shortlist.v1.suggestion_service_pb2 import Suggestion


def target(suggestion: Suggestion) -> str:
    """Return what a shop opens when a customer chooses the suggestion."""
    if suggestion.category:
        return f"category {suggestion.category}"
    return f"brand {suggestion.brand}" if suggestion.brand else "search"


def main() -> None:
    """Print one line for each prefix, then the suggestions of the whole text."""
    parser = argparse.ArgumentParser()
    parser.add_argument("text")
    parser.add_argument("--address", default="127.0.0.1:50051")
    arguments = parser.parse_args()
    text = arguments.text
    with Client(arguments.address, timeout_seconds=1.0) as client:
        for length in range(1, len(text)):
            response = client.suggest(text[:length], page_size=3)
            print(f"{text[:length]}: {', '.join(s.text for s in response.suggestions)}")
        response = client.suggest(text)
    if response.corrected_prefix:
        print(f"corrected: {response.corrected_prefix}")
    for suggestion in response.suggestions:
        print(f"{suggestion.text} → {target(suggestion)}")


if __name__ == "__main__":
    main()
