"""`python -m server search`: search a running server and print a table."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shortlist.client import Client, Options, Tls
from shortlist.v1 import search_service_pb2


@dataclass(frozen=True)
class SearchConfig:
    """Search a running server and print the results as a table."""

    query: Annotated[str, tyro.conf.Positional]  # the text to search for
    address: str = "127.0.0.1:50051"  # host:port of the server
    page_size: int = 10  # number of results, up to 100
    timeout_seconds: float = 10.0  # how long to wait for the answer
    tls: bool = False  # use TLS; the TLS settings below imply it
    tls_ca: Path | None = None  # PEM authorities to trust instead of the system's
    tls_cert: Path | None = None  # PEM certificate of this client
    tls_key: Path | None = None  # PEM private key of tls_cert
    tls_name: str | None = None  # name in the server's certificate, if it is not the host
    # file with the bearer token; without TLS, the token is sent only to this machine
    token_file: Path | None = None


def search(config: SearchConfig) -> None:
    """Print the first page of results.

    Raises:
        ShortlistError: The call failed.
        OSError: A TLS file or the token file cannot be read.
        ValueError: The query, the token or a flag is not valid.
    """
    files = (config.tls_ca, config.tls_cert, config.tls_key)
    uses_tls = config.tls or config.tls_name or any(files)
    with Client(
        config.address,
        tls=Tls(*files, server_name=config.tls_name) if uses_tls else None,
        token=config.token_file,
        options=Options(token_in_clear=True),
        timeout_seconds=config.timeout_seconds,
    ) as client:
        response = client.search(config.query, page_size=config.page_size)
    console = Console()
    console.print(results_table(response))
    console.print(_summary(response), style="dim", highlight=False)


def results_table(response: search_service_pb2.SearchResponse) -> Table:
    """Return a table with one row per result and the scores of each stage."""
    table = Table("#", "score", "title", "brand", "price", "dense", "lexical", "rerank")
    for column in table.columns:
        if column.header not in ("title", "brand"):
            column.justify = "right"
            column.no_wrap = True
    for result in response.results:
        item = result.item
        table.add_row(
            str(result.rank),
            f"{result.score:.3f}",
            Text(item.title),  # Text, because a title is not markup
            Text(item.brand),
            f"{item.price:.2f}" if item.HasField("price") else "",
            f"{result.dense_score:.3f}" if result.HasField("dense_score") else "",
            f"{result.lexical_score:.2f}" if result.HasField("lexical_score") else "",
            f"{result.rerank_score:.3f}" if result.HasField("rerank_score") else "",
        )
    return table


def _summary(response: search_service_pb2.SearchResponse) -> str:
    stages = ", ".join(
        f"{stage.name} {stage.duration.ToNanoseconds() / 1e6:.1f} ms" for stage in response.stages
    )
    return (
        f"recalled {response.recalled_count}, reranked {response.reranked_count}"
        f" · {stages} · bundle {response.bundle_id}"
    )
