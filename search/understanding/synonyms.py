"""Synonyms in Solr's file format.

Each line is a rule. `sofa, couch, settee` lists synonyms of each other. `couch, settee => sofa`
says that a query for one of the left phrases also searches for the right phrases, but not the
reverse. A phrase may have several words. `#` begins a comment, and `\\` takes the meaning from the
next character, as in `\\,`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from base.errors import InputError
from base.untrusted import limits
from base.untrusted.small_files import read_bytes
from catalog.item_text import normalise_query
from search.understanding.interpretation import Synonym
from search.understanding.phrases import PhraseTable, tokens_of

SYNONYMS_FILE = "synonyms.txt"
SYNONYM_WEIGHT = 0.8  # weight of a synonym's terms; a word of the query itself has weight 1
_MAX_ALTERNATIVES = 20  # maximum number of alternatives of one phrase
_PART = re.compile(r"(?:\\.|[^\\,])+")
_ARROW = re.compile(r"(?<!\\)=>")


@dataclass(frozen=True)
class Synonyms:
    """The synonyms of a catalogue; `with_rules` returns other synonyms."""

    table: PhraseTable[tuple[str, ...]]

    @classmethod
    def parse(cls, text: str, name: str = SYNONYMS_FILE) -> "Synonyms":
        """Read rules.

        Args:
            text: The rules, one in each line.
            name: The name of the file, for errors.

        Raises:
            InputError: a line is no rule; the message names the file and the line.
        """
        phrases: dict[tuple[str, ...], dict[str, None]] = {}
        for number, line in enumerate(text.splitlines(), start=1):
            rule = re.sub(r"(?<!\\)#.*", "", line).strip()
            if not rule:
                continue
            try:
                for phrase, others in _pairs(rule):
                    phrases.setdefault(phrase, {}).update(dict.fromkeys(others))
            except ValueError as error:
                raise InputError(f"{name}, line {number}: {error}") from None
        return cls(
            PhraseTable(
                {phrase: tuple(others)[:_MAX_ALTERNATIVES] for phrase, others in phrases.items()}
            )
        )

    @classmethod
    def read(cls, directory: Path) -> "Synonyms":
        """Read the file of synonyms in a directory; without a file there are no synonyms.

        Raises:
            InputError: the file is no UTF-8 text, is too large, or has a line that is no rule.
        """
        path = directory / SYNONYMS_FILE
        if not path.is_file():
            return NO_SYNONYMS
        return cls.parse(read_text(path), str(path))

    def of(self, text: str) -> tuple[Synonym, ...]:
        """Return the synonyms of the phrases in a normalised text."""
        return tuple(
            Synonym(words, other, SYNONYM_WEIGHT)
            for words, others in self.table.find(text)
            for other in others
        )


NO_SYNONYMS = Synonyms(PhraseTable({}))


def read_text(path: Path) -> str:
    """Read a file of synonyms as text.

    Raises:
        InputError: the file cannot be read, is too large, or is no UTF-8 text.
    """
    try:
        return read_bytes(path, limits.JSON_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text; save the file as UTF-8") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _pairs(rule: str) -> Iterable[tuple[tuple[str, ...], list[str]]]:
    """Yield each phrase of a rule with its alternatives.

    Raises:
        ValueError: the rule has no two phrases, or two arrows.
    """
    sides = _ARROW.split(rule)
    if len(sides) > 2:
        raise ValueError("has two arrows; write each rule on a line of its own")
    left = _phrases(sides[0])
    right = _phrases(sides[1]) if len(sides) == 2 else left
    if not left or not right:
        raise ValueError("has no phrase on one side of =>; add one, or remove the line")
    if len(sides) == 1 and len(left) < 2:
        raise ValueError("has only one phrase; add a synonym after a comma, or remove the line")
    for phrase in left:
        others = [other for other in right if tokens_of(other) != tokens_of(phrase)]
        if others:
            yield tokens_of(phrase), others


def _phrases(side: str) -> list[str]:
    parts = [re.sub(r"\\(.)", r"\1", part) for part in _PART.findall(side)]
    phrases = [normalise_query(part) for part in parts]
    return [phrase for phrase in phrases if tokens_of(phrase)]
