"""`python -m server search`: search a running server and print a table."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from server.cli.connection import ConnectionConfig
from shortlist.v1 import search_service_pb2, understanding_pb2

_EFFECTS = {
    understanding_pb2.UNDERSTANDING_EFFECT_FILTERED: "Only items",
    understanding_pb2.UNDERSTANDING_EFFECT_DEMOTED: "Items first",
    understanding_pb2.UNDERSTANDING_EFFECT_NONE: "No items",
}


@dataclass(frozen=True)
class SearchConfig(ConnectionConfig):
    """Search a running server and print the results as a table."""

    query: Annotated[str, tyro.conf.Positional]  # the text to search for
    order_by: str = ""  # order of the results, such as "price desc"; by default the best come first
    page_size: int = 10  # number of results, up to 100
    timeout_seconds: float = 10.0  # how long to wait for the answer
    # file with the bearer token; without TLS, the token is sent only to this machine
    token_file: Path | None = None


def search(config: SearchConfig) -> None:
    """Print the first page of results.

    Raises:
        ShortlistError: The call failed.
        OSError: A TLS file or the token file cannot be read.
        ValueError: The query, the token or a flag is not valid.
    """
    with config.connect(config.timeout_seconds, config.token_file) as client:
        response = client.search(config.query, page_size=config.page_size, order_by=config.order_by)
    console = Console()
    for line in understood_lines(response.interpretation):
        console.print(Text(line))  # Text, because a query is not markup
    console.print(results_table(response))
    console.print(summary(response), style="dim", highlight=False)


def results_table(response: search_service_pb2.SearchResponse) -> Table:
    """Return a table with one row per result, the scores of each stage and the relevance."""
    scores = ("dense", "lexical", "rerank", "rel.")
    table = Table("#", "score", "title", "brand", "price", *scores)
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
            f"{result.relevance:.2f}" if result.HasField("relevance") else "",
        )
    return table


def understood_lines(interpretation: understanding_pb2.Interpretation) -> list[str]:
    """Return a line for each part of an interpretation that changes the results."""
    lines = []
    if any(rewrite.applied for rewrite in interpretation.rewrites):
        lines.append(f"Showing results for: {interpretation.text}")
    unsure = {rewrite.replacement for rewrite in interpretation.rewrites if not rewrite.applied}
    lines += [f"Did you mean: {replacement}" for replacement in sorted(unsure)]
    lines += [f"Also searched for: {synonym.alternative}" for synonym in interpretation.synonyms]
    effects = [(limit.effect, limit.words) for limit in interpretation.limits]
    effects += [(exclusion.effect, exclusion.words) for exclusion in interpretation.exclusions]
    return lines + [f"{_EFFECTS.get(effect, 'Read as')}: {words}" for effect, words in effects]


def summary(response: search_service_pb2.SearchResponse) -> str:
    """Return a line about the number of results, the stages and the bundle."""
    stages = ", ".join(
        f"{stage.name} {stage.duration.ToNanoseconds() / 1e6:.1f} ms" for stage in response.stages
    )
    fit = ", guesses: no item has the code" if any(r.guessed for r in response.results) else ""
    if response.HasField("relevant_count"):
        fit += f", about {response.relevant_count} relevant"
    if response.coverage.nothing_fits:
        fit = ", nothing fits: these results are guesses"
    return (
        f"recalled {response.recalled_count}, reranked {response.reranked_count}{fit}"
        f" · {stages} · bundle {response.bundle_id}"
    )
