"""Amazon's Shopping Queries (ESCI): examples and products, as parquet or csv."""

from collections.abc import Iterator

from catalog.dataset.reading import split_of
from catalog.importing.rules import Format, Row, Rule, TableRules, columns, rows_of, rules
from catalog.importing.sources import Files
from catalog.schema import ITEMS, JUDGMENTS

_LABELS = {"E": "3", "S": "2", "C": "1", "I": "0"}  # exact, substitute, complement, irrelevant
_LANGUAGE = Rule("language", "product_locale", values={"us": "en", "jp": "ja"})


def _judgments(files: Files) -> Iterator[Row]:
    """Yield the judged pairs; a tenth of the queries of `train` becomes `dev`, which ESCI lacks."""
    for row in files.rows("examples"):
        query = row.text("query")
        if row.text("split") == "train" and split_of(query) == "dev":
            row = row.with_cells({"split": "dev"})  # noqa: PLW2901
        yield row


FORMAT = Format(
    "esci",
    "Shopping Queries (ESCI, parquet files)",
    {
        "examples": (columns("query", "product_id", "esci_label"),),
        "products": (columns("product_id", "product_title", "product_locale"),),
    },
    (
        TableRules(
            ITEMS,
            (
                *rules(
                    item_id="product_id",
                    title="product_title",
                    description=("product_description", "product_bullet_point"),
                    brand="product_brand",
                ),
                Rule("attributes.color", "product_color"),
                _LANGUAGE,
            ),
            rows_of("products"),
        ),
        TableRules(
            JUDGMENTS,
            (
                *rules(query="query", item_id="product_id", query_id="query_id", split="split"),
                Rule("grade", "esci_label", values=_LABELS),
                _LANGUAGE,
            ),
            _judgments,
        ),
    ),
)
