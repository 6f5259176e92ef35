"""Convert the records of an export to the tables of a dataset, by the rules of a format."""

import datetime
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import pyarrow as pa

from base.errors import InputError, allowed, plain_number
from catalog.dataset.decimal_commas import NumberForms
from catalog.dataset.problems import quote
from catalog.importing.fields import PRICES, Reading, add_number_forms, is_numeric, read
from catalog.importing.items import fields_of, finish_item
from catalog.importing.report import Report
from catalog.importing.rules import SALE_END, SALE_START, Row, TableRules
from catalog.importing.sources import Files
from catalog.item_text import normalise_query
from catalog.schema import ITEMS, JUDGMENTS

_BATCH = 4096  # records that are in memory as Python objects
_FIX = "correct it or leave it empty"


@dataclass(frozen=True)
class Choices:
    """What the user says about an export."""

    currency: str  # of prices that name none; "": not known
    language: str  # of texts that name none; rows in other languages are left out; "": any
    decimal: str  # the decimal sign of numbers: point, comma, or auto
    now: datetime.datetime  # the time of the import


class TableConverter:
    """Converts the records of one table.

    Rows with the id of an earlier item are left out, and so are repeated judgments. They are a
    problem unless they are equal to the earlier row.
    """

    def __init__(self, choices: Choices, report: Report) -> None:
        self._choices = choices
        self._report = report
        # item_id, or query and item_id -> place and hash of the values of the first row
        self._seen: dict[Any, tuple[str, int]] = {}
        self._unread: set[str] = set()  # fields of the row whose cells cannot be read
        self._splits: dict[str, str] = {}  # normalised query -> the split of its first judgment

    def convert(self, table: TableRules, files: Files) -> Iterator[pa.Table]:
        """Yield the rows of a table in batches.

        Raises:
            InputError: a file cannot be read, or numbers can be read in two ways.
        """
        reading = self._reading(table, files)
        schema = table.schema.arrow
        if table.schema is ITEMS:
            schema = schema.remove(schema.get_field_index("embedding"))
        named = Files(files.sources, self._report, table.schema.name)
        rows = self._rows(table, named, reading, frozenset(schema.names))
        while batch := list(islice(rows, _BATCH)):
            yield pa.Table.from_pylist(batch, schema)

    def _reading(self, table: TableRules, files: Files) -> Reading:
        """Find out from all numbers of the table which sign is decimal: of prices, and of others.

        Prices may have another sign than ratings. They decide for other numbers that do not tell.
        """
        currency = self._choices.currency
        if self._choices.decimal != "auto":
            comma = self._choices.decimal == "comma"
            return Reading(comma, comma, currency)
        numeric = [rule for rule in table.rules if is_numeric(rule)]
        prices, others = NumberForms(), NumberForms()
        places: dict[int, str] = {}  # by the forms: the place of the first unclear number
        for row in table.rows(Files(files.sources, Report())) if numeric else ():
            own_currency = self._currency(table, row)
            for rule in numeric:
                forms = prices if rule.target in PRICES else others
                add_number_forms(rule, row.get(rule.source), own_currency, forms)
                if forms.unclear is not None and id(forms) not in places:
                    places[id(forms)] = f"{row.place}, column {files.column(rule.source)}"
        prices_tell = prices.comma or prices.point
        for forms, refused in (
            (prices, prices.can_be_read_in_both_ways or prices.thousandths_prevail),
            (others, others.can_be_read_in_both_ways and not prices_tell),
        ):
            if refused:
                raise InputError(
                    f"{places[id(forms)]}: {quote(forms.unclear)} has a sign that may be decimal "
                    "or may group thousands; say --decimal point or --decimal comma"
                )
        decides = prices if others.can_be_read_in_both_ways else others
        return Reading(prices.commas_are_decimal, decides.commas_are_decimal, currency)

    def _rows(
        self, table: TableRules, files: Files, reading: Reading, names: frozenset[str]
    ) -> Iterator[dict[str, Any]]:
        for row in table.rows(files):
            self._report.rows[table.schema.name] += 1
            self._unread.clear()
            values = self._values(table, row, files, reading)
            if self._is_of_another_language(row, values):
                continue
            if table.schema is ITEMS:
                finish_item(values, self._choices.now, partial(files.leave_out, row))
                if self._choices.language:
                    values.setdefault("language", self._choices.language)
            is_valid = self._is_valid(table, row, values)
            if table.schema is ITEMS and (self._unread or not is_valid):
                self._report.cannot_read(values.get("item_id", ""), self._unread)
            if is_valid and not self._is_repeated(table, row, values):
                yield {name: value for name, value in values.items() if name in names}

    def _values(
        self, table: TableRules, row: Row, files: Files, reading: Reading
    ) -> dict[str, Any]:
        """Return the values of a record by field; a cell that cannot be read is a problem."""
        values: dict[str, Any] = {}
        reading = replace(reading, currency=self._currency(table, row))
        for rule in table.rules:
            cell = row.get(rule.source)
            if cell is None:
                continue
            try:
                if read(rule, cell, reading, values):
                    column = files.column(rule.source)
                    self._report.filled[table.schema.name, column, rule.target] += 1
            except ValueError as error:
                self._problem(table, row, files.column(rule.source), rule.target, str(error), _FIX)
                if rule.target in (SALE_START, SALE_END):
                    values[rule.target] = None  # the sale has a limit, which is not known
                self._unread.update(fields_of(rule.target))
        return values

    def _currency(self, table: TableRules, row: Row) -> str:
        """Return the currency of a record's prices that name none; "": not known."""
        default, found = self._choices.currency, dict[str, Any]()
        for rule in table.rules:
            if rule.target == "currency" and (cell := row.get(rule.source)) is not None:
                with suppress(ValueError):  # `_values` reports the cell
                    read(rule, cell, Reading(False, False, default), found)
        return str(found.get("currency", default))

    def _problem(
        self, table: TableRules, row: Row, column: str, what: str, say: str, fix: str
    ) -> None:
        self._report.problem(table.schema.name, row.place, column, what, say, fix)

    def _is_of_another_language(self, row: Row, values: dict[str, Any]) -> bool:
        language = self._choices.language
        if not language or values.get("language", language) == language:
            return False
        self._report.leave_out(row.place, f"a row in another language than {language}")
        return True

    def _is_valid(self, table: TableRules, row: Row, values: dict[str, Any]) -> bool:
        """Return whether a row has all required values; drop numbers outside of their limits."""
        complete = True
        for column in table.schema.columns:
            name, value = column.name, values.get(column.name)
            if column.required and (value is None or value == ""):
                complete = False
                say = f"no {name}, so the row is left out"
                self._problem(table, row, "", f"no {name}", say, "give it a value")
            low, high = column.minimum, column.maximum
            if value is None or ((low is None or value >= low) and (high is None or value <= high)):
                continue
            del values[name]
            say = f"{plain_number(value)} is not {allowed(low, high)}"
            self._problem(table, row, name, "limits", say, _FIX)
            self._unread.update(fields_of(name))
        return complete

    def _is_repeated(self, table: TableRules, row: Row, values: dict[str, Any]) -> bool:
        """Return whether an earlier row has the same id, or the same query and item."""
        if table.schema is ITEMS:
            key, content = values["item_id"], hash(repr(sorted(values.items())))
            name = quote(key)
        elif table.schema is JUDGMENTS:
            query = normalise_query(values["query"])
            if values.get("split"):
                values["split"] = self._splits.setdefault(query, values["split"])
            key = (values.get("query_id") or query, values["item_id"])
            content, name = hash(values["grade"]), "the pair of query and item"
        else:
            return False
        place, earlier = self._seen.setdefault(key, (row.place, content))
        if place == row.place:
            return False
        if earlier == content:
            self._report.leave_out(row.place, f"a repeated row of {table.schema.name}")
        else:
            say = f"{name} is also on {place} with other values, so the row is left out"
            self._problem(table, row, "", "repeated", say, "keep one of the rows")
        return True
