"""Decimal commas in a csv file: the columns that have them, decided over the whole column."""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from catalog.dataset.problems import Problems, quote
from catalog.dataset.text_files import Dialect, csv_batches

_GROUP_SIGNS = ". \u00a0\u202f"  # these group thousands beside a decimal comma
# A comma or a point that may be decimal or may group thousands: 1,234 and 1.234.
UNCLEAR_NUMBER = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}")
_COMMA = re.compile(
    rf"[+-]?(\d+|\d{{1,3}}([{_GROUP_SIGNS}]\d{{3}})+),\d+|[+-]?\d{{1,3}}(\.\d{{3}}){{2,}}"
)
_POINT = re.compile(r"[+-]?(\d*|\d{1,3}(,\d{3})+)\.\d+([eE][+-]?\d+)?|[+-]?\d{1,3}(,\d{3}){2,}")
_GROUPING = re.compile(rf"[{_GROUP_SIGNS}]")


@dataclass
class NumberForms:
    """The forms of the numbers in one column."""

    comma: int = 0  # numbers that only a decimal comma explains
    point: int = 0  # numbers that only a decimal point explains
    unclear: str | None = None  # the first number that can be read in both ways
    unclear_by_sign: Counter[str] = field(default_factory=Counter)  # sign -> such numbers

    @property
    def commas_are_decimal(self) -> bool:
        """Whether commas are decimal, and points and spaces group thousands."""
        return self.comma > 0 and not self.point

    @property
    def can_be_read_in_both_ways(self) -> bool:
        """Whether a sign may be decimal or may group thousands, and no other number tells."""
        return self.unclear is not None and not self.comma and not self.point

    @property
    def thousandths_prevail(self) -> bool:
        """Whether more numbers get three decimals than there are numbers that tell the sign."""
        sign, tell = (",", self.comma) if self.commas_are_decimal else (".", self.point)
        return self.unclear_by_sign[sign] > tell

    def add(self, cells: Iterable[str]) -> None:
        """Take the forms of more numbers."""
        for cell in cells:
            if "," not in cell and "." not in cell:
                continue
            text = cell.strip()
            if UNCLEAR_NUMBER.fullmatch(text):
                self.unclear = self.unclear or text
                self.unclear_by_sign["," if "," in text else "."] += 1
            else:
                self.comma += _COMMA.fullmatch(text) is not None
                self.point += _POINT.fullmatch(text) is not None


def columns_with_decimal_commas(
    path: Path, dialect: Dialect, names: Collection[str], problems: Problems
) -> frozenset[str]:
    """Return the columns in which commas are decimal, and points and spaces group thousands.

    Args:
        path: The csv file, which is read once.
        dialect: The dialect of the file.
        names: The columns of numbers.
        problems: Takes an error for each column that can be read in both ways.
    """
    forms = {name: NumberForms() for name in names}
    for batch in csv_batches(path, dialect):
        for name in forms.keys() & batch.columns.keys():
            forms[name].add(batch.columns[name])
    for name, form in forms.items():
        if form.can_be_read_in_both_ways:
            problems.error(
                f"{path.name}, column {name}: {quote(form.unclear)} has a sign that may be decimal "
                "or may group thousands; write numbers without groups, such as 1234 or 1.23"
            )
    return frozenset(name for name, form in forms.items() if form.commas_are_decimal)


def with_decimal_points(cells: list[str]) -> list[str]:
    """Replace decimal commas by decimal points: `1.234,50` becomes 1234.50."""
    return [_GROUPING.sub("", cell.strip()).replace(",", ".") for cell in cells]
