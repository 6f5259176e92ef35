"""The exceptions for invalid input, and the checks that requests of all kinds share."""

from collections.abc import Collection, Sequence


class InputError(Exception):
    """A file, row, field or flag from a user cannot be used.

    The message names this input and says what to do. Commands print the message and exit with code
    2. Any other exception that ends a command is a bug.
    """


class StorageError(InputError):
    """A file cannot be written now, for example because the disk is full."""


class RequestError(Exception):
    """A request field has a value that cannot be used.

    Attributes:
        field: The path of the field in the contract, such as "rules.boosts[2].strength".
        problem: What is wrong with the value, and which values are allowed.
    """

    def __init__(self, field: str, problem: str):
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem

    def within(self, field: str) -> "RequestError":
        """Prefix the path with the name of the field that has the request; return this error."""
        self.field = f"{field}.{self.field}"
        self.args = (f"{self.field}: {self.problem}",)
        return self


def check_range(
    number: int | float, path: str, low: int | float | None, high: int | float | None
) -> None:
    """Refuse a number outside its limits, and NaN; a limit of None is no limit."""
    if not (low is None or low <= number) or not (high is None or number <= high):
        raise RequestError(path, f"is {number:,}; give {allowed(low, high)}")


def check_count(count: int, path: str, low: int | None, high: int, unit: str = "entries") -> None:
    """Refuse too few or too many entries, or another unit; a lower limit of None is 0."""
    if not (low or 0) <= count <= high:
        raise RequestError(path, f"has {count:,} {unit}; give {allowed(low, high)}")


def check_text(text: str, path: str) -> None:
    """Refuse text that UTF-8 cannot encode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RequestError(path, "has a lone surrogate (half a character); remove it") from None


def check_names(names: Sequence[str], path: str, known: Collection[str], kind: str) -> None:
    """Refuse a list that has another name than the known names of a kind of thing."""
    for index, name in enumerate(names):
        if name not in known:
            raise unknown_name(f"{path}[{index}]", known, kind)


def unknown_name(path: str, known: Collection[str], kind: str) -> RequestError:
    """Return the error for a name that is not among the known names of a kind of thing."""
    return RequestError(path, f"names no {kind}; give {', '.join(known)}")


def allowed(low: int | float | None, high: int | float | None) -> str:
    """Say which numbers are allowed; a limit of None is no limit."""
    if low is None:
        return f"at most {plain_number(high)}"
    if high is None:
        return f"at least {plain_number(low)}"
    return f"{plain_number(low)} to {plain_number(high)}"


def plain_number(number: int | float | None) -> str:
    """Format a number with thousands separators, all its digits, and no fraction of zero."""
    return f"{number:,}".removesuffix(".0")
