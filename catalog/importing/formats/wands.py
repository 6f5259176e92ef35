"""Wayfair's WANDS: products, queries and labels, as csv files that tabs separate."""

from collections.abc import Iterator

from catalog.importing.cleaning.values import split
from catalog.importing.rules import ATTRIBUTES, Format, Row, Rule, TableRules, columns, rules
from catalog.importing.sources import Files
from catalog.schema import ITEMS, JUDGMENTS

_FEATURES = "product_features"


def _products(files: Files) -> Iterator[Row]:
    """Yield the products; `colour : red|width : 20` becomes a map."""
    for row in files.rows("products"):
        features: dict[str, list[str]] = {}
        for feature in split(row.text(_FEATURES), "|"):
            name, colon, value = feature.partition(":")
            if colon:
                features.setdefault(name.strip(), []).append(value.strip())
        yield row.with_cells({ATTRIBUTES: features})


def _judgments(files: Files) -> Iterator[Row]:
    queries = {row.text("query_id"): row.get("query") for row in files.rows("queries")}
    for row in files.rows("labels"):
        yield row.with_cells({"query": queries.get(row.text("query_id"))})


FORMAT = Format(
    "wands",
    "WANDS (Wayfair, CSV files)",
    {
        "products": (columns("product_id", "product_name", "product_class"),),
        "queries": (columns("query_id", "query", "query_class"),),
        "labels": (columns("query_id", "product_id", "label"),),
    },
    (
        TableRules(
            ITEMS,
            (
                *rules(
                    item_id="product_id",
                    title="product_name",
                    description="product_description",
                    rating="average_rating",
                    rating_count="rating_count",
                    attributes=ATTRIBUTES,
                ),
                Rule("categories", "category_hierarchy", levels="/"),
                Rule("categories", "product_class", split="|", levels="/"),
            ),
            _products,
        ),
        TableRules(
            JUDGMENTS,
            (
                *rules(query="query", item_id="product_id", query_id="query_id"),
                Rule("grade", "label", values={"Exact": "2", "Partial": "1", "Irrelevant": "0"}),
            ),
            _judgments,
        ),
    ),
    reads=_FEATURES,
)
