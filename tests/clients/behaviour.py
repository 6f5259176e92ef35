"""Checks of the example programs of all languages, run against real servers."""

import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests import tiny
from tests.clients.conftest import Servers

# A function that runs an example program with flags and the words of a query. It returns the exit
# code and the JSON output of the program.
Example = Callable[[Mapping[str, object], Sequence[str]], tuple[int, Any]]

QUERY = ("usb", "c", "charger")


def example(program: Sequence[str], dashes: str) -> Example:
    """Return a function that runs a program whose flags begin with `dashes`."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # gRPC need not log a failed handshake, because the error of the call reports the failure.
    environment["GRPC_VERBOSITY"] = "NONE"

    def run(flags: Mapping[str, object], words: Sequence[str]) -> tuple[int, Any]:
        arguments = [
            f"{dashes}{name}" if value is True else f"{dashes}{name}={value}"
            for name, value in flags.items()
        ]
        done = subprocess.run(
            [*program, *arguments, *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stderr == "", done.stderr
        return done.returncode, json.loads(done.stdout)

    return run


def check_search_with_filter(run: Example, servers: Servers) -> None:
    """Check that results pass the filter and have the titles and prices of the catalogue."""
    code, printed = run(cheap_flags(servers), QUERY)
    assert code == 0
    check_cheap_page(printed)
    _, ordered = run(cheap_flags(servers) | {"order-by": "price desc"}, QUERY)
    prices = [result["price"] for result in ordered["results"]]
    assert prices == [40.0, 40.0, 25.0]  # of the sizes 30, 30 and 15


def check_stream_with_filter(run: Example, servers: Servers) -> None:
    """Check that a stream has two pages with their phases, and that the last is Search's page."""
    code, messages = run(cheap_flags(servers) | {"stream": True}, QUERY)
    assert code == 0
    assert [(message["phase"], message["last"]) for message in messages] == [
        ("SEARCH_PHASE_RECALLED", False),
        ("SEARCH_PHASE_RERANKED", True),
    ]
    for message in messages:
        check_cheap_page(message["page"])
    _, page = run(cheap_flags(servers), QUERY)
    assert messages[1]["page"] == page
    code, printed = run(cheap_flags(servers) | {"stream": True, "page-size": -1}, QUERY)
    [violation] = printed["violations"]
    assert (code, violation["field"]) == (1, "search.page_size")


def check_large_page(run: Example, address: str) -> None:
    """Check that an answer of more than 4 MiB, the default limit of gRPC, arrives whole."""
    code, printed = run({"address": address, "brand": "Voltix", "page-size": 100}, QUERY)
    assert code == 0, printed
    assert len(printed["results"]) == 16


def cheap_flags(servers: Servers) -> dict[str, object]:
    """Return the flags of a search for three cheap items of a brand."""
    return {"address": servers.plain, "brand": "Voltix", "below": 42.5, "page-size": 3}


def check_cheap_page(printed: Any) -> None:
    """Check a page of three cheap items: their order by score, and their values."""
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


def check_error_details(run: Example, servers: Servers, code_name: str) -> None:
    """Check that an error has its code, its reason and the names of the invalid fields."""
    code, printed = run({"address": servers.plain, "brand": "Voltix", "page-size": -1}, QUERY)
    assert code == 1
    assert (printed["code"], printed["reason"]) == (code_name, "INVALID_FIELD")
    [violation] = printed["violations"]
    assert violation["field"] == "page_size"
    assert violation["problem"]


def check_filter_error_path(run: Example, servers: Servers) -> None:
    """Check that the error about an empty text in a filter has the path of that text."""
    _, printed = run({"address": servers.plain}, QUERY)
    [violation] = printed["violations"]
    assert violation["field"] == "filter.and_group.filters[0].equals.value"


# Handshakes that must fail. Each has the names of the client's certificate and of the authority
# that the client trusts.
REFUSED: Mapping[str, tuple[str, str]] = {
    "no certificate": ("", "ca"),
    "an expired certificate": ("expired", "ca"),
    "a certificate of another authority": ("foreign", "ca"),
    "a server of another authority": ("client", "stranger"),
}


def check_mutual_tls(run: Example, servers: Servers) -> None:
    """Check that a client with a certificate of the authority gets an answer."""
    code, printed = run(tls_flags(servers, "client", "ca"), QUERY)
    assert code == 0
    assert printed["results"]


def check_refused(run: Example, servers: Servers, what: str, unavailable: str) -> None:
    """Check that a handshake of REFUSED fails."""
    code, printed = run(tls_flags(servers, *REFUSED[what]), QUERY)
    assert (code, printed["code"]) == (1, unavailable)


def tls_flags(servers: Servers, shows: str, trusts: str) -> dict[str, object]:
    """Return the flags of a search on the server with mutual TLS."""
    files = servers.certificates
    address = servers.mutual.replace("127.0.0.1", "localhost")  # Node needs a host name
    flags = {"address": address, "brand": "Voltix", "ca": files / f"{trusts}.pem"}
    certificate = {"cert": files / f"{shows}.pem", "key": files / f"{shows}.key"}
    return flags | (certificate if shows else {})
