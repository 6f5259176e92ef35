"""A curation: one rule of synonyms, or rules that apply to every search for certain queries."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

from base.errors import RequestError, check_count, check_text
from catalog.item_text import normalise_query
from search.rules import NO_RULES, Rules
from search.understanding.synonyms import SynonymRule
from search.validation import check_language, check_query, check_rules

MAX_CURATIONS = 10_000  # largest number of live curations
MAX_ID_CHARACTERS = 64
MAX_LINE_CHARACTERS = 2_000  # of a live rule of synonyms
MAX_PHRASES = 50  # of a live rule of synonyms
MAX_QUERIES = 100  # of one curation


@dataclass(frozen=True)
class QueryRules:
    """Rules that apply to every search whose whole query is one of some queries."""

    queries: tuple[str, ...]
    rules: Rules = NO_RULES

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """The normalised queries, each once."""
        return tuple(dict.fromkeys(map(normalise_query, self.queries)))


Content: TypeAlias = SynonymRule | QueryRules


@dataclass(frozen=True)
class Curation:
    """A curation with its id.

    Raises:
        RequestError: a value is out of its limits; the path is that of a SetCurationRequest.
    """

    curation_id: str
    content: Content

    def __post_init__(self) -> None:
        """Refuse values out of their limits."""
        check_text(self.curation_id, "curation_id")
        check_count(len(self.curation_id), "curation_id", 1, MAX_ID_CHARACTERS, "characters")
        try:
            if isinstance(self.content, SynonymRule):
                _check_synonyms(self.content)
            else:
                _check_query_rules(self.content)
        except RequestError as error:
            name = "synonyms" if isinstance(self.content, SynonymRule) else "query_rules"
            raise error.within(name) from None

    @cached_property
    def synonyms(self) -> SynonymRule | None:
        """The rule of synonyms, with the id of the curation; None for rules by query."""
        if isinstance(self.content, SynonymRule):
            return replace(self.content, curation_id=self.curation_id)
        return None


def _check_synonyms(rule: SynonymRule) -> None:
    check_text(rule.line, "line")
    check_count(len(rule.line), "line", 1, MAX_LINE_CHARACTERS, "characters")
    if len(rule.line.splitlines()) > 1:
        raise RequestError("line", "has a line break; give each rule to a curation of its own")
    try:
        check_count(rule.phrases, "line", None, MAX_PHRASES, "phrases")
        _ = rule.pairs
    except ValueError as error:
        raise RequestError("line", str(error)) from None
    check_language(rule.language, "language")


def _check_query_rules(content: QueryRules) -> None:
    check_count(len(content.queries), "queries", 1, MAX_QUERIES)
    for index, query in enumerate(content.queries):
        check_text(query, f"queries[{index}]")
        check_query(query, f"queries[{index}]")
    check_rules(content.rules)
