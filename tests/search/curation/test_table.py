"""The curations that searches use: the bundle's and live ones together."""

import pytest

from search.curation.curation import Curation, QueryRules
from search.curation.table import NO_CURATIONS, Curations
from search.rules import NamedRules, Pin, Rules
from search.understanding.synonyms import SynonymRule, Synonyms

ONE, TWO, THREE = (Rules(pins=(Pin("item", position),)) for position in (1, 2, 3))
BUILT = Curations.of(
    Synonyms.parse("sofa, couch\nlamp => light\n"),
    [Curation("file", QueryRules(("Sofa", "bed"), ONE))],
)


def rule(curation_id: str, line: str, language: str = "") -> Curation:
    return Curation(curation_id, SynonymRule(line, language))


def alternatives(curations: Curations, text: str, language: str = "") -> list[tuple[str, str]]:
    found = curations.synonyms.of(text, language)
    return [(synonym.alternative, synonym.curation_id) for synonym in found]


def test_live_rules_of_a_query_replace_those_of_the_bundle() -> None:
    live = BUILT.with_live([Curation("live", QueryRules(("SOFA", " Desk "), TWO))])
    assert live.rules_of("sofa") == live.rules_of("desk") == NamedRules(TWO, "live")
    assert live.rules_of("bed") == NamedRules(ONE, "file")
    assert live.rules_of("chair") is None
    assert live.with_live([]).rules_of("sofa") == NamedRules(ONE, "file")
    assert BUILT.rules_of("sofa") == NamedRules(ONE, "file")


def test_the_first_text_that_has_rules_decides() -> None:
    live = BUILT.with_live([Curation("live", QueryRules(("desk",), TWO))])
    assert live.rules_of("dsek", "desk") == NamedRules(TWO, "live")
    assert live.rules_of("bed", "desk") == NamedRules(ONE, "file")


def test_live_synonyms_are_added_to_those_of_the_bundle() -> None:
    live = BUILT.with_live([rule("c", "sofa => settee, couch"), rule("d", "bunk, bed")])
    assert alternatives(live, "sofa") == [("settee", "c"), ("couch", "c")]
    assert alternatives(live, "couch") == [("sofa", "")]
    assert alternatives(live, "lamp") == [("light", "")]
    assert alternatives(live, "bunk bed") == [("bed", "d"), ("bunk", "d")]
    assert alternatives(live, "settee") == []
    assert alternatives(live.with_live([]), "sofa") == [("couch", "")]


@pytest.mark.parametrize("tag", ["de", "DE-at"])
def test_a_rule_of_a_language_applies_to_its_searches_only(tag: str) -> None:
    live = BUILT.with_live([rule("c", "gift, poison", tag), rule("d", "rat, mouse")])
    assert alternatives(live, "gift", "de") == [("poison", "c")]
    assert alternatives(live, "gift", "en") == alternatives(live, "gift") == []
    for language in ("de", "en", ""):
        assert alternatives(live, "rat", language) == [("mouse", "d")]
        assert alternatives(live, "lamp", language) == [("light", "")]


def test_the_curations_that_concern_a_query_are_found() -> None:
    live = BUILT.with_live(
        [
            rule("german", "gift, poison", "de"),
            rule("other", "rat, mouse"),
            Curation("rules", QueryRules(("gift box",), THREE)),
        ]
    )
    assert live.concerning("gift box") == {"german", "rules"}
    assert live.concerning("gift") == {"german"}
    assert live.concerning("sofa") == set()  # only the bundle has rules for it


def test_without_curations_nothing_applies() -> None:
    assert NO_CURATIONS.rules_of("sofa") is None
    assert NO_CURATIONS.concerning("sofa") == set()
    assert NO_CURATIONS.with_live([]) == NO_CURATIONS
