"""Check the values of a dataset, column by column."""

import re
from collections.abc import Callable
from html.entities import html5
from itertools import groupby

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int

from base.errors import plain_number
from catalog.dataset.files import RawTable
from catalog.dataset.problems import Problems, count, quote
from catalog.dataset.texts import first_texts
from catalog.equal_rows import first_of_equals
from catalog.item_text import normalise_query
from catalog.items import ITEM_FIELDS
from catalog.schema import ITEMS, NUMBER, TEXT, VECTOR, WHOLE, Column

# The text columns that models read.
_MODEL_TEXTS = tuple(f.name for f in ITEM_FIELDS if f.text_position is not None and f.type is str)


def _references() -> str:
    """Return a pattern of HTML's named references, grouped by their first two letters for speed."""
    names = sorted(name for name in html5 if name.endswith(";"))
    groups = groupby(names, key=lambda name: name[:2])
    return "|".join(f"{k}(?:{'|'.join(name[2:] for name in group)})" for k, group in groups)


# Matches an HTML tag or character reference. The pattern means the same in RE2 and in Python.
MARKUP = (
    r"</?(?:a|article|b|blockquote|br|center|code|dd|div|dl|dt|em|figure|font|footer|h[1-6]|head"
    r"|header|hr|i|iframe|img|li|noscript|ol|p|pre|s|script|section|small|span|strong|style|sub|sup"
    r"|svg|table|tbody|td|template|tfoot|th|thead|title|tr|u|ul|video)(?:\s[^<>]*)?/?>"
    rf"|&(?:{_references()}|#\d{{1,6}};|#x[0-9a-fA-F]{{1,5}};)"
)

Rows = Int[np.ndarray, " some"]


def check_table(raw: RawTable, problems: Problems) -> None:
    """Check a table against its schema; add the errors to `problems`."""
    for column in raw.schema.columns:
        if raw.has(column.name):
            _check_column(raw, column, problems)
    for name in _MODEL_TEXTS if raw.schema is ITEMS else ():
        if raw.has(name):
            _check_markup(raw, name, problems)
    if raw.schema is ITEMS and raw.has("category") and raw.has("categories"):
        category, first = _column(raw, "category"), first_texts(_column(raw, "categories"))
        problems.rows(
            raw.source,
            "category",
            true_rows(pc.not_equal(category, first)),
            lambda row: (
                f"{quote(category[row].as_py())} is not the first of the categories, which is "
                f"{quote(first[row].as_py())}"
            ),
            "give one of the columns category and categories",
        )
    key = raw.schema.key
    if key is not None and raw.has(key):
        values = _column(raw, key)
        first = first_of_equals(codes(values))
        repeated = np.flatnonzero(first != np.arange(len(first)))
        problems.rows(
            raw.source,
            key,
            repeated[np.asarray(pc.is_valid(values))[repeated]],
            lambda row: (
                f"{quote(values[row].as_py())} is also on {raw.source.place(int(first[row]))}"
            ),
            "give every row its own",
        )


def _check_column(raw: RawTable, column: Column, problems: Problems) -> None:
    values = _column(raw, column.name)

    def report(mask: pa.Array, say: Callable[[object], str], fix: str) -> None:
        rows = raw.unreported(column.name, true_rows(mask))
        problems.rows(raw.source, column.name, rows, lambda row: say(values[row].as_py()), fix)

    fix = "correct it" if column.required else "correct it or leave it empty"
    if column.required:
        missing = pc.is_null(values)
        if column.type == TEXT:
            missing = pc.or_kleene(missing, pc.equal(pc.utf8_trim_whitespace(values), ""))
        what = "missing or NaN" if column.type == NUMBER else "missing or blank"
        report(missing, lambda _: what, "every row needs one")
    if column.choices:
        known = pc.is_in(values, value_set=pa.array(column.choices, TEXT))
        wrong = pc.and_(pc.is_valid(values), pc.invert(known))
        if column.required:  # blank values are reported above
            wrong = pc.and_kleene(wrong, pc.not_equal(pc.utf8_trim_whitespace(values), ""))
        report(wrong, lambda value: f"{quote(value)} is unknown", f"use {_any_of(column.choices)}")
    if column.form is not None:
        wrong = pc.invert(pc.match_substring_regex(values, f"^(?:{column.form})$"))
        report(wrong, lambda value: f"{quote(value)} is not {column.form_help}", fix)
    if column.type == NUMBER:
        report(
            pc.invert(pc.is_finite(values)), lambda value: f"{value} is not a finite number", fix
        )
    if column.type in (NUMBER, WHOLE):
        _check_limits(column, values, report, fix)
    if column.type == VECTOR:
        _check_vectors(raw, column.name, values, problems)


def _check_markup(raw: RawTable, name: str, problems: Problems) -> None:
    """Warn about HTML, because models and the lexical index read tags as words."""
    rows = true_rows(pc.match_substring_regex(_column(raw, name), MARKUP))
    if len(rows):
        first = int(rows[0])
        match = re.search(MARKUP, raw.table[name][first].as_py())
        shown = quote(match[0]) if match is not None else "a tag"
        problems.warning(
            f"{raw.source.where(first)}, column {name}: {count(len(rows), raw.source.unit)} with "
            f"HTML such as {shown}; write plain text, because models read tags as words"
        )


def _check_limits(
    column: Column,
    values: pa.Array,
    report: Callable[[pa.Array, Callable[[object], str], str], None],
    fix: str,
) -> None:
    finite = pc.is_finite(values)
    # Of the column's type, because float64 does not hold every whole number.
    minimum, maximum = (
        None if limit is None else pa.scalar(limit, NUMBER).cast(column.type)
        for limit in (column.minimum, column.maximum)
    )
    if column.minimum is not None:
        low = pc.and_(finite, pc.less(values, minimum))
        report(low, lambda value: f"{value} is below {plain_number(column.minimum)}", fix)
    if column.maximum is not None:
        high = pc.and_(finite, pc.greater(values, maximum))
        report(high, lambda value: f"{value} is above {plain_number(column.maximum)}", fix)


def _check_vectors(raw: RawTable, name: str, values: pa.Array, problems: Problems) -> None:
    widths = pc.list_value_length(values)
    known = np.asarray(widths.drop_null())
    if not len(known):
        return
    usual = int(np.bincount(known).argmax())
    problems.rows(
        raw.source,
        name,
        true_rows(pc.not_equal(widths, usual)),
        lambda row: f"{count(widths[row].as_py(), 'number')}, but most have {usual}",
        "give all embeddings one width",
    )
    if usual == 0:
        problems.rows(
            raw.source,
            name,
            true_rows(pc.equal(widths, 0)),
            lambda _: "the embedding has no numbers",
            "leave the value out",
        )
    numbers = pc.list_flatten(values)
    rows = np.repeat(np.arange(len(values)), np.asarray(pc.fill_null(widths, 0)))
    broken = pc.invert(pc.fill_null(pc.is_finite(numbers), False))
    problems.rows(
        raw.source,
        name,
        np.unique(rows[true_rows(broken)]),
        lambda _: "has a number that is missing, not finite or too large for 32 bits",
        "correct it or leave the value out",
    )


def check_judgments(raw: RawTable, grade_min: float, problems: Problems) -> None:
    """Check that grades, query ids and splits of judgments agree; add the errors to `problems`.

    Args:
        raw: The judgments.
        grade_min: The grade whose gain is 0.
        problems: Takes the errors.
    """
    for name in ("query_id", "split"):
        if raw.has(name) and 0 < raw.table[name].null_count < len(raw.table):
            rows = raw.unreported(name, true_rows(pc.is_null(_column(raw, name))))
            fix = f"give every judgment a {name}, or leave the whole column out"
            problems.rows(raw.source, name, rows, lambda _: "missing", fix)
    if raw.has("grade"):
        grades = _column(raw, "grade")
        problems.rows(
            raw.source,
            "grade",
            true_rows(pc.and_(pc.is_finite(grades), pc.less(grades, grade_min))),
            lambda row: f"{grades[row]} is below grade_min, which is {grade_min:g}",
            "set grade_min in dataset.json to the lowest grade",
        )
    if not raw.has("query"):
        return
    queries = _column(raw, "query")
    # Models read queries in normal form. So queries with the same normal form must be in the same
    # split and have the same grades.
    normalised = map_queries(queries, normalise_query)
    if raw.has("split"):
        fix = "keep each query in one split"
        _check_agreement(raw, "split", codes(normalised), queries, fix, problems)
    if raw.has("query_id"):
        ids = _column(raw, "query_id")
        fix = "give each query its own id"
        _check_agreement(raw, "query", codes(ids), ids, fix, problems)
    if raw.has("item_id") and raw.has("grade"):
        items = _column(raw, "item_id")
        # Without query ids, queries with the same normal form count as one query.
        pairs = pair_codes(queries if raw.has("query_id") else normalised, items)
        fix = "keep one judgment of each query and item"
        named = pc.if_else(pc.is_valid(items), queries, pa.scalar(None, TEXT))
        _check_agreement(raw, "grade", pairs, named, fix, problems)


def _check_agreement(
    raw: RawTable,
    column: str,
    groups: Int[np.ndarray, " rows"],
    names: pa.Array,
    fix: str,
    problems: Problems,
) -> None:
    """Report rows whose value in `column` differs from the value in the first row of their group.

    Args:
        raw: The table.
        column: The column that must agree.
        groups: The number of each row's group.
        names: The name of each row's group, for messages; rows without a name are not reported.
        fix: How to correct the problem.
        problems: Takes the errors.
    """
    values = _column(raw, column)
    first = first_of_equals(groups)
    differ = pc.not_equal(values, values.take(pa.array(first)))  # null if a value is missing
    has_name = np.asarray(pc.is_valid(names))
    rows = true_rows(differ)

    def say(row: int) -> str:
        other = raw.source.place(int(first[row]))
        here, there = quote(values[row].as_py()), quote(values[first[row]].as_py())
        item = f" and item {quote(raw.table['item_id'][row].as_py())}" if column == "grade" else ""
        return f"{quote(names[row].as_py())}{item} has {here} here and {there} on {other}"

    problems.rows(raw.source, column, rows[has_name[rows]], say, fix)


def map_queries(queries: pa.Array, function: Callable[[str], str]) -> pa.Array:
    """Apply a function to each query; call it once per distinct query."""
    encoded = queries.dictionary_encode()
    results = [function(query) for query in encoded.dictionary.to_pylist()]
    return pa.array(results, TEXT).take(encoded.indices)


def codes(values: pa.Array) -> Int[np.ndarray, " rows"]:
    """Return a whole number for each value; equal values get equal numbers, and null gets -1."""
    indices = pc.fill_null(values.dictionary_encode().indices, -1)
    return np.asarray(indices, np.int64)


def pair_codes(left: pa.Array, right: pa.Array) -> Int[np.ndarray, " rows"]:
    """Return a whole number for each row; equal pairs of values get equal numbers."""
    right_codes = codes(right)
    distinct = int(right_codes.max(initial=0)) + 2  # number of codes, including the code of null
    pairs: Int[np.ndarray, " rows"] = codes(left) * distinct + right_codes + 1
    return pairs


def true_rows(mask: pa.Array | pa.ChunkedArray) -> Rows:
    """Return the indices at which a mask is true (not false and not null)."""
    rows: Rows = np.flatnonzero(np.asarray(pc.fill_null(mask, False)))
    return rows


def _column(raw: RawTable, name: str) -> pa.Array:
    return raw.table[name].combine_chunks()


def _any_of(choices: tuple[str, ...]) -> str:
    return f"{', '.join(choices[:-1])} or {choices[-1]}"
