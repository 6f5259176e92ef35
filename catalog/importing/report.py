"""The report of an import: what was read from which column, what was left out, and problems."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from catalog.dataset.problems import MAX_EXAMPLES, count


@dataclass
class Problem:
    """A problem that one or several rows have in the same column."""

    message: str  # names the place and the value of the first row, and says what to do
    places: list[str] = field(default_factory=list)  # of up to MAX_EXAMPLES further rows
    rows: int = 0

    @property
    def text(self) -> str:
        """The message, with the number of rows and the places of some of them."""
        if self.rows == 1:
            return self.message
        more = ", …" if self.rows > 1 + len(self.places) else ""
        return f"{self.message} ({self.rows:,} rows in all, also {', '.join(self.places)}{more})"


@dataclass
class LeftOut:
    """Rows or values that an import leaves out for the same reason."""

    example: str  # the place of the first row
    rows: int = 0


@dataclass
class SourceReport:
    """One file of an export."""

    file: str
    format: str
    role: str  # what the file holds, in the words of the format
    encoding: str
    unused: list[str] = field(default_factory=list)  # columns that fill no field


class Report:
    """What an import did."""

    def __init__(self) -> None:
        self.sources: list[SourceReport] = []
        # (table, column, field) -> rows whose field has a value from this column
        self.filled: Counter[tuple[str, str, str]] = Counter()
        self.rows: Counter[str] = Counter()  # table -> records that were read
        self.written: dict[str, int] = {}  # table -> rows of the dataset
        self.left_out: dict[str, LeftOut] = {}  # by reason
        self.warnings: list[str] = []  # what may be wrong with the files
        self.quality: dict[str, Any] = {}
        # item_id -> fields whose cells cannot be read, so that the dataset lacks their values; the
        # id "": rows whose id cannot be read
        self.unread: dict[str, set[str]] = {}
        self._problems: dict[tuple[str, ...], Problem] = {}
        self._places: dict[str, set[str]] = defaultdict(
            set
        )  # table -> places of rows with problems

    def leave_out(self, place: str, reason: str) -> None:
        """Count a row or value that is left out on purpose."""
        entry = self.left_out.setdefault(reason, LeftOut(place))
        entry.rows += 1

    def problem(self, table: str, place: str, column: str, what: str, say: str, fix: str) -> None:
        """Count a row that has a problem.

        Args:
            table: The table that the row belongs to.
            place: The place of the row.
            column: The name of the column; "" if the whole row has the problem.
            what: The kind of the problem. Rows with the same kind are reported together.
            say: The problem of this row.
            fix: What the user can do.
        """
        key = (place.rpartition(", ")[0], column, what)
        in_column = f", column {column}" if column else ""
        if key not in self._problems:
            self._problems[key] = Problem(f"{place}{in_column}: {say}; {fix}")
        problem = self._problems[key]
        problem.rows += 1
        if 1 < problem.rows <= 1 + MAX_EXAMPLES:
            problem.places.append(place.rpartition(", ")[2])
        self._places[table].add(place)

    def cannot_read(self, item_id: str, fields: Iterable[str] = ()) -> None:
        """Note an item that cannot be read, or some of its fields; "": its id cannot be read."""
        self.unread.setdefault(item_id, set()).update(fields)

    @property
    def problems(self) -> list[str]:
        """One message for each kind of problem."""
        return [problem.text for problem in self._problems.values()]

    def bad_share(self) -> float:
        """Return the largest share of the records of a table that have a problem."""
        return max(
            (len(places) / max(self.rows[name], 1) for name, places in self._places.items()),
            default=0.0,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the content of `import-report.json`."""
        return {
            "sources": [vars(source) for source in self.sources],
            "tables": self.written,
            "fields": [
                {"table": table, "column": column, "field": name, "rows": rows}
                for (table, column, name), rows in sorted(self.filled.items())
            ],
            "left_out": [
                {"reason": reason, "rows": entry.rows, "example": entry.example}
                for reason, entry in self.left_out.items()
            ],
            "problems": self.problems,
            "quality": self.quality,
        }

    def lines(self) -> list[str]:
        """Return the report as lines of text for a terminal."""
        lines = []
        for source in self.sources:
            lines.append(f"{source.file}: {source.role} of {source.format}, {source.encoding}")
            if source.unused:
                lines.append(f"  not used: {', '.join(source.unused)}")
        for table, rows in self.written.items():
            lines.append(f"{count(rows, 'row')} in {table}")
            lines += [
                f"  {column} → {name}: {number:,}"
                for (of, column, name), number in sorted(self.filled.items())
                if of == table
            ]
        for reason, entry in self.left_out.items():
            lines.append(f"left out: {reason} ({entry.rows:,}, first {entry.example})")
        lines += [f"problem: {text}" for text in self.problems]
        lines += [f"warning: {text}" for text in self.quality.get("warnings", ())]
        return lines
