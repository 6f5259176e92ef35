"""Synonyms in Solr's file format.

Each line is a rule. `sofa, couch, settee` lists synonyms of each other. `couch, settee => sofa`
says that a query for one of the left phrases also searches for the right phrases, but not the
reverse. A phrase may have several words. `#` begins a comment, and `\\` takes the meaning from the
next character, as in `\\,`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TypeAlias

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

# The alternatives of a phrase, each with the id of its curation.
Alternatives: TypeAlias = Mapping[str, str]


@dataclass(frozen=True)
class SynonymRule:
    """One rule of synonyms. Its properties raise ValueError if the line is no rule."""

    line: str
    language: str = ""  # of the searches to which the rule applies, as a tag; "": of any language
    curation_id: str = ""  # the id of the curation that has the rule; "": the rule is in a file

    @property
    def primary_language(self) -> str:
        """The first part of the language tag."""
        return self.language.partition("-")[0].lower()

    @property
    def phrases(self) -> int:
        """The number of phrases in the line."""
        return sum(map(len, _sides(self.line)))

    @cached_property
    def pairs(self) -> tuple[tuple[tuple[str, ...], list[str]], ...]:
        """Each phrase, as its tokens, with its alternatives."""
        return tuple(_pairs(self.line))


@dataclass(frozen=True)
class Synonyms:
    """The synonyms of a catalogue; `with_rules` returns other synonyms.

    Attributes:
        tables: The alternatives of phrases by language. The language "" has those of searches in
            all languages without a table.
    """

    tables: Mapping[str, PhraseTable[Alternatives]]

    @classmethod
    def parse(cls, text: str, name: str = SYNONYMS_FILE) -> "Synonyms":
        """Read rules.

        Args:
            text: The rules, one in each line.
            name: The name of the file, for errors.

        Raises:
            InputError: a line is no rule; the message names the file and the line.
        """
        rules = []
        for number, line in enumerate(text.splitlines(), start=1):
            if not _without_comment(line):
                continue
            rules.append(rule := SynonymRule(line))
            try:
                _ = rule.pairs
            except ValueError as error:
                raise InputError(f"{name}, line {number}: {error}") from None
        return NO_SYNONYMS.with_rules(rules)

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

    def with_rules(self, rules: Sequence[SynonymRule]) -> "Synonyms":
        """Return these synonyms with more rules. Alternatives of the new rules come first."""
        if not rules:
            return self
        languages = self.tables.keys() | {rule.primary_language for rule in rules}
        return Synonyms({language: self._table(language, rules) for language in languages})

    def of(self, text: str, language: str = "") -> tuple[Synonym, ...]:
        """Return the synonyms of the phrases in a normalised text.

        Args:
            text: The text.
            language: The first part of its language tag; "": not known.
        """
        return tuple(
            Synonym(words, other, SYNONYM_WEIGHT, curation_id)
            for words, others in self._in(language).find(text)
            for other, curation_id in others.items()
        )

    def _in(self, language: str) -> PhraseTable[Alternatives]:
        return self.tables.get(language) or self.tables[""]

    def _table(self, language: str, rules: Iterable[SynonymRule]) -> PhraseTable[Alternatives]:
        """Return the table of a language with more rules."""
        added: dict[tuple[str, ...], dict[str, str]] = {}
        for rule in rules:
            if rule.primary_language not in ("", language):
                continue
            for phrase, others in rule.pairs:
                of_phrase = added.setdefault(phrase, {})
                for other in others:
                    of_phrase.setdefault(other, rule.curation_id)
        phrases = dict(self._in(language).items())
        for phrase, alternatives in added.items():
            for other, curation_id in phrases.get(phrase, {}).items():
                alternatives.setdefault(other, curation_id)
            is_long = len(alternatives) > _MAX_ALTERNATIVES
            first = islice(alternatives.items(), _MAX_ALTERNATIVES)
            phrases[phrase] = dict(first) if is_long else alternatives
        return PhraseTable(phrases)


NO_SYNONYMS = Synonyms({"": PhraseTable({})})


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


def _without_comment(line: str) -> str:
    return re.sub(r"(?<!\\)#.*", "", line).strip()


def _sides(line: str) -> list[list[str]]:
    """Return the phrases of each side of a rule; a rule without an arrow has one side.

    Raises:
        ValueError: the rule has two arrows.
    """
    sides = _ARROW.split(_without_comment(line))
    if len(sides) > 2:
        raise ValueError("has two arrows; write each rule on a line of its own")
    return [_phrases(side) for side in sides]


def _pairs(line: str) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Yield each phrase of a rule, as its tokens, with its alternatives.

    Raises:
        ValueError: the rule has no two phrases, or two arrows.
    """
    sides = _sides(line)
    left, right = sides[0], sides[-1]
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
