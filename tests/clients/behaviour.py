"""What the example of every language does when it is run against real servers."""

import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests import tiny
from tests.clients.conftest import Shop

# Runs the example with flags and words, and gives its exit code and what it printed.
Example = Callable[[Mapping[str, object], Sequence[str]], tuple[int, Any]]

QUERY = ("usb", "c", "charger")


def example(program: Sequence[str], dashes: str) -> Example:
    """The example that a program is; its flags begin with `dashes`."""

    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["GRPC_VERBOSITY"] = "NONE"  # a refused handshake is told by the call's error

    def run(flags: Mapping[str, object], words: Sequence[str]) -> tuple[int, Any]:
        given = [
            f"{dashes}{name}" if value is True else f"{dashes}{name}={value}"
            for name, value in flags.items()
        ]
        done = subprocess.run(
            [*program, *given, *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stderr == "", done.stderr
        return done.returncode, json.loads(done.stdout)

    return run


def searches_with_a_filter(run: Example, shop: Shop) -> None:
    """The filter holds, and what is printed is what the items are."""
    code, printed = run(cheap(shop), QUERY)
    assert code == 0
    is_a_page_of_the_cheap(printed)


def streams_with_a_filter(run: Example, shop: Shop) -> None:
    """Both pages come, each with its phase, and the last one is what Search finds."""
    code, messages = run(cheap(shop) | {"stream": True}, QUERY)
    assert code == 0
    assert [(message["phase"], message["last"]) for message in messages] == [
        ("SEARCH_PHASE_RECALLED", False),
        ("SEARCH_PHASE_RERANKED", True),
    ]
    for message in messages:
        is_a_page_of_the_cheap(message["page"])
    _, found = run(cheap(shop), QUERY)
    assert messages[1]["page"] == found
    code, printed = run(cheap(shop) | {"stream": True, "page-size": -1}, QUERY)
    [violation] = printed["violations"]
    assert (code, violation["field"]) == (1, "search.page_size")


def cheap(shop: Shop) -> dict[str, object]:
    """The flags that find a few cheap items of a brand."""
    return {"address": shop.plain, "brand": "Voltix", "below": 42.5, "page-size": 3}


def is_a_page_of_the_cheap(printed: Any) -> None:
    """Three of them, as the catalogue has them, in the order of their scores."""
    items = {item.item_id: item for item in tiny.tiny_items()}
    passing = {
        item.item_id
        for item in items.values()
        if item.brand == "Voltix" and item.price is not None and item.price < 42.5
    }
    assert printed["matched"] == len(passing) > 3
    results = printed["results"]
    assert [result["rank"] for result in results] == [1, 2, 3]
    assert {result["id"] for result in results} <= passing
    for result in results:
        item = items[result["id"]]
        assert (result["title"], result["price"]) == (item.title, item.price)
    scores = [result["score"] for result in results]
    assert scores == sorted(scores, reverse=True)


def decodes_errors(run: Example, shop: Shop, code_name: str) -> None:
    """The reason and the fields at fault come through."""
    code, printed = run({"address": shop.plain, "brand": "Voltix", "page-size": -1}, QUERY)
    assert code == 1
    assert (printed["code"], printed["reason"]) == (code_name, "INVALID_FIELD")
    [violation] = printed["violations"]
    assert violation["field"] == "page_size"
    assert violation["problem"]


def names_a_filters_place(run: Example, shop: Shop) -> None:
    """An empty text is refused by its path."""
    _, printed = run({"address": shop.plain}, QUERY)
    [violation] = printed["violations"]
    assert violation["field"] == "filter.and_group.filters[0].equals.value"


# What a client shows the server, and the authority that it trusts, where a call must not be made.
REFUSED: Mapping[str, tuple[str, str]] = {
    "no certificate": ("", "ca"),
    "an expired certificate": ("expired", "ca"),
    "a certificate of another authority": ("foreign", "ca"),
    "a server of another authority": ("client", "stranger"),
}


def speaks_mutual_tls(run: Example, shop: Shop) -> None:
    """With a certificate of the authority it is answered."""
    code, printed = run(tls_flags(shop, "client", "ca"), QUERY)
    assert code == 0
    assert printed["results"]


def is_refused(run: Example, shop: Shop, what: str, unavailable: str) -> None:
    """What must not be answered is not."""
    code, printed = run(tls_flags(shop, *REFUSED[what]), QUERY)
    assert (code, printed["code"]) == (1, unavailable)


def tls_flags(shop: Shop, shows: str, trusts: str) -> dict[str, object]:
    """The flags of a search at the server that wants certificates."""
    files = shop.certificates
    address = shop.mutual.replace("127.0.0.1", "localhost")  # Node wants a name
    flags = {"address": address, "brand": "Voltix", "ca": files / f"{trusts}.pem"}
    shown = {"cert": files / f"{shows}.pem", "key": files / f"{shows}.key"}
    return flags | (shown if shows else {})
