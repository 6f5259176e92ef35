"""The curations that searches use, in the form in which searches look them up."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from search.curation.curation import Curation, QueryRules
from search.curation.rules_file import read_rules
from search.rules import NamedRules
from search.understanding.synonyms import NO_SYNONYMS, Synonyms


@dataclass(frozen=True)
class Curations:
    """The curations of a bundle and live curations. They never change.

    Attributes:
        built_synonyms: The synonyms of the bundle.
        built_rules: The rules of the bundle, by normalised query.
        synonyms: The synonyms of the bundle and of live curations.
        live_rules: The rules of live curations, by normalised query.
    """

    built_synonyms: Synonyms = NO_SYNONYMS
    built_rules: Mapping[str, NamedRules] = field(default_factory=dict)
    synonyms: Synonyms = NO_SYNONYMS
    live_rules: Mapping[str, NamedRules] = field(default_factory=dict)

    @classmethod
    def of(cls, synonyms: Synonyms, curations: Iterable[Curation] = ()) -> "Curations":
        """Return the curations of a bundle."""
        return cls(synonyms, rules_by_query(curations), synonyms)

    @classmethod
    def read(cls, directory: Path) -> "Curations":
        """Read the files of curations in a directory; a missing file has none.

        Raises:
            InputError: a file is damaged; the message names the file and the line.
        """
        return cls.of(Synonyms.read(directory), read_rules(directory))

    def with_live(self, curations: Sequence[Curation]) -> "Curations":
        """Return the same curations of the bundle with other live curations."""
        rules = [curation.synonyms for curation in curations if curation.synonyms is not None]
        return replace(
            self,
            synonyms=self.built_synonyms.with_rules(rules),
            live_rules=rules_by_query(curations),
        )

    def rules_of(self, *texts: str) -> NamedRules | None:
        """Return the rules of the first of some normalised queries that has rules, or None.

        Live rules of a query replace the rules of the bundle.
        """
        if not self.live_rules and not self.built_rules:
            return None
        for text in texts:
            if rules := self.live_rules.get(text) or self.built_rules.get(text):
                return rules
        return None

    def concerning(self, text: str) -> frozenset[str]:
        """Return the ids of the live curations that concern a normalised query."""
        languages = self.synonyms.tables
        found = {s.curation_id for language in languages for s in self.synonyms.of(text, language)}
        if rules := self.live_rules.get(text):
            found.add(rules.curation_id)
        return frozenset(found - {""})


NO_CURATIONS = Curations()


def rules_by_query(curations: Iterable[Curation]) -> dict[str, NamedRules]:
    """Return the rules of curations by normalised query."""
    return {
        text: NamedRules(curation.content.rules, curation.curation_id)
        for curation in curations
        if isinstance(curation.content, QueryRules)
        for text in curation.content.texts
    }
