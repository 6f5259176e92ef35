"""Read the records of an XML feed in little memory, and refuse what makes XML dangerous."""

from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.parsers import expat

from base.errors import InputError
from catalog.dataset.text_files import open_text
from catalog.importing.rules import Row

_RECORDS = frozenset(("item", "entry", "product", "offer"))  # elements that are records
_CHUNK = 2**16  # characters that are parsed at a time
MAX_DEPTH = 64  # nested elements
MAX_CHARACTERS = 2**24  # in the texts of one record

# An element: its name with the prefix, its XML attributes, and its texts and child elements.
_Element = tuple[str, dict[str, str], list[Any]]


class _Parser:
    """Collects records, whose elements lose the prefix of their names."""

    def __init__(self, path: Path) -> None:
        self.rows: deque[Row] = deque()
        self._path = path
        # Names keep their prefix, because some feeds do not declare it.
        self._parser = expat.ParserCreate("utf-8")
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._depth = 0
        self._open: list[_Element] = []  # the elements of the current record, the outermost first
        self._line = 0  # of the current record
        self._characters = 0  # of the current record

    def feed(self, text: str, last: bool) -> None:
        try:
            self._parser.Parse(text.encode("utf-8", "replace"), last)
        except expat.ExpatError as error:
            why = expat.errors.messages[error.code]
            raise InputError(
                f"{self._path.name}, line {error.lineno}: not well-formed XML ({why}); "
                "export the file again"
            ) from None

    def _refuse(self, problem: str) -> InputError:
        return InputError(f"{self._path.name}, line {self._parser.CurrentLineNumber}: {problem}")

    def _refuse_doctype(self, *_: object) -> None:
        raise self._refuse(
            "has a document type declaration, which can define entities; remove <!DOCTYPE …>"
        )

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._refuse(f"more than {MAX_DEPTH} nested elements; export the file again")
        if not self._open:
            if _local(name).lower() not in _RECORDS:
                return
            self._line = self._parser.CurrentLineNumber
            self._characters = 0
        self._open.append((name, attributes, []))

    def _text(self, text: str) -> None:
        if self._open:
            self._characters += len(text)
            if self._characters > MAX_CHARACTERS:
                raise self._refuse(f"a record with more than {MAX_CHARACTERS:,} characters")
            self._open[-1][2].append(text)

    def _end(self, _name: str) -> None:
        self._depth -= 1
        if not self._open:
            return
        name, attributes, content = self._open.pop()
        value = _value(content) or attributes.get("href", "")  # the form of links in Atom
        if self._open:
            self._open[-1][2].append((name, value))
        else:
            cells = _children(content)
            for key, attribute in attributes.items():
                cells.setdefault(_local(key), attribute)
            self.rows.append(Row(f"{self._path.name}, line {self._line}", cells))


def _local(name: str) -> str:
    """Return a name without its prefix."""
    return name.rpartition(":")[2]


def _children(content: list[Any]) -> dict[str, Any]:
    """Return the child elements by name; elements of the same name become a list.

    Elements with a prefix come first: Atom has an `id` of its own beside the product's `g:id`.
    """
    values: dict[str, list[Any]] = {}
    elements = (part for part in content if isinstance(part, tuple))
    for name, value in sorted(elements, key=lambda element: ":" not in element[0]):
        values.setdefault(_local(name), []).append(value)
    return {name: several if len(several) > 1 else several[0] for name, several in values.items()}


def _value(content: list[Any]) -> Any:
    """Return the text of an element, or its child elements if it has no text beside them."""
    if all(isinstance(part, str) for part in content):
        return "".join(content)
    if not any(isinstance(part, str) and part.strip() for part in content):
        return _children(content)
    # Text with elements in it, such as HTML that is not escaped.
    return " ".join(part if isinstance(part, str) else _flat(part[1]) for part in content)


def _flat(value: Any) -> str:
    if isinstance(value, str):
        return value
    return " ".join(map(_flat, value.values() if isinstance(value, dict) else value))


def xml_rows(path: Path, encoding: str, _broken: Callable[..., object]) -> Iterator[Row]:
    """Yield the records of a feed: elements named item, entry, product or offer.

    Raises:
        InputError: the file is not well-formed, has a document type declaration, or is nested too
            deeply, or a record is too long.
    """
    parser = _Parser(path)
    with open_text(path, encoding) as file:
        while text := file.read(_CHUNK):
            parser.feed(text, last=False)
            while parser.rows:
                yield parser.rows.popleft()
    parser.feed("", last=True)
    yield from parser.rows
