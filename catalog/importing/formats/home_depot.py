"""The Home Depot search relevance set (Kaggle): train, test, descriptions and attributes."""

from collections.abc import Iterator

from catalog.importing.rules import ATTRIBUTES, Format, Row, TableRules, columns, rules
from catalog.importing.sources import Files
from catalog.schema import ITEMS, JUDGMENTS

_BRAND = "MFG Brand Name"


def _products(files: Files) -> Iterator[Row]:
    """Yield each product once, with its description and attributes."""
    texts = {
        r.text("product_uid"): r.get("product_description") for r in files.rows("descriptions")
    }
    attributes: dict[str, dict[str, list[str]]] = {}
    for row in files.rows("attributes"):
        if (name := row.text("name")) and (value := row.text("value")):
            attributes.setdefault(row.text("product_uid"), {}).setdefault(name, []).append(value)
    seen = set()
    for row in files.rows("queries"):
        uid = row.text("product_uid")
        if not uid or uid in seen:
            continue
        seen.add(uid)
        named = attributes.pop(uid, {})
        cells = {
            "product_uid": uid,
            "product_title": row.get("product_title"),
            "product_description": texts.get(uid),
            "brand": named.pop(_BRAND, None),
            "bullets": [named.pop(name) for name in [*named] if name.startswith("Bullet")],
            ATTRIBUTES: named,
        }
        yield Row(row.place, {name: cell for name, cell in cells.items() if cell})


def _judgments(files: Files) -> Iterator[Row]:
    """Yield the judged pairs; those of the test queries are in a file of their own."""
    grades = {
        row.text("id"): row.get("relevance")
        for row in files.rows("grades of test")
        if row.text("usage").lower() != "ignored"
    }
    for row in files.rows("queries"):
        grade = row.get("relevance") or grades.get(row.text("id"))
        if grade is None:
            files.leave_out(row, "a query and item without a grade")
        else:
            yield row.with_cells({"relevance": grade})


FORMAT = Format(
    "home-depot",
    "Home Depot search relevance (Kaggle, CSV files)",
    {
        "queries": (columns("product_uid", "product_title", "search_term"),),
        "descriptions": (columns("product_uid", "product_description"),),
        "attributes": (columns("product_uid", "name", "value"),),
        "grades of test": (columns("id", "relevance", "usage"),),
    },
    (
        TableRules(
            ITEMS,
            rules(
                item_id="product_uid",
                title="product_title",
                description=("product_description", "bullets"),
                brand="brand",
                attributes=ATTRIBUTES,
            ),
            _products,
        ),
        TableRules(
            JUDGMENTS,
            rules(query="search_term", item_id="product_uid", grade="relevance"),
            _judgments,
        ),
    ),
    reads="id|name|value|usage",
    info={"name": "Home Depot product search relevance", "grade_min": 1.0, "relevant_from": 2.33},
)
