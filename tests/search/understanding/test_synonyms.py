"""Synonyms in Solr's format."""

import pytest

from base.errors import InputError
from search.understanding.interpretation import Synonym
from search.understanding.synonyms import NO_SYNONYMS, SYNONYM_WEIGHT, Synonyms

RULES = """\
# furniture
sofa, couch, Living Room Sofa

tv => television   # one way
gaming pc, gaming rig => desktop computer
手机壳, 保护套
rock\\, paper, rps
"""


@pytest.fixture(scope="module")
def synonyms():
    return Synonyms.parse(RULES)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("red sofa", [("sofa", "couch"), ("sofa", "living room sofa")]),
        ("couch", [("couch", "sofa"), ("couch", "living room sofa")]),
        ("sofas", []),  # whole words only
        ("tv stand", [("tv", "television")]),
        ("television", []),  # the rule has one direction
        ("gaming rig", [("gaming rig", "desktop computer")]),
        ("透明手机壳", [("手机壳", "保护套")]),
        ("rps", [("rps", "rock, paper")]),
    ],
)
def test_synonyms_of_the_phrases_in_a_text(synonyms, text, found):
    assert synonyms.of(text) == tuple(Synonym(w, a, SYNONYM_WEIGHT) for w, a in found)


def test_the_longest_phrase_wins(synonyms):
    assert {s.words for s in synonyms.of("living room sofa")} == {"living room sofa"}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("sofa", "has only one phrase"),
        ("a => b => c", "has two arrows"),
        ("a =>", "has no phrase on one side"),
    ],
)
def test_an_error_names_the_file_and_the_line(line, problem):
    with pytest.raises(InputError, match=f"shop.txt, line 3: {problem}"):
        Synonyms.parse(f"# rules\na, b\n{line}\n", "shop.txt")


def test_a_directory_without_the_file_has_no_synonyms(tmp_path):
    assert Synonyms.read(tmp_path) is NO_SYNONYMS


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "synonyms.txt").write_bytes(b"caf\xe9, coffee\n")
    with pytest.raises(InputError, match=r"synonyms\.txt: not UTF-8 text"):
        Synonyms.read(tmp_path)
