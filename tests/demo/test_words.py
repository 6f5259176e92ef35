import numpy as np
import pytest

from demo.departments import DEPARTMENTS, LEAVES
from demo.phrasing import described, has_long_word, mistyped, plural, spoken


def test_vocabulary_is_consistent():
    names = [leaf.path for department in DEPARTMENTS for leaf in department.leaves]
    assert len(names) == len(set(names)) == len(LEAVES)
    brands = [brand for department in DEPARTMENTS for brand in department.brands]
    assert len(brands) == len(set(brands))
    for leaf in LEAVES.values():
        assert leaf.varies in leaf.options
        assert len(leaf.options[leaf.varies]) >= 2
        assert leaf.goes_with is None or leaf.goes_with in LEAVES
        assert len(leaf.nouns) >= 2
        assert len(leaf.words) >= 4
        assert len(leaf.needs) >= 4
        names_of_it = {plural(noun) for noun in (*leaf.nouns, *leaf.words)} | {*leaf.nouns}
        for need in leaf.needs:
            assert not names_of_it & {need}


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("sofa", "sofas"),
        ("tooth brush", "tooth brushes"),
        ("computer mouse", "computer mice"),
        ("soft toy", "soft toys"),
        ("kitty", "kitties"),
        ("running shoes", "running shoes"),
        ("mattress", "mattresses"),
        ("shampoo", "shampoo"),
    ],
)
def test_plurals(phrase, expected):
    assert plural(phrase) == expected


def test_a_typo_changes_one_word_by_one_slip():
    rng = np.random.default_rng(0)
    for _ in range(200):
        typed = mistyped(rng, "red frying pan 500ml").split()
        assert [typed[0], *typed[2:]] == ["red", "pan", "500ml"]
        assert typed[1] != "frying"
        assert typed[1][0] == "f"
        assert 5 <= len(typed[1]) <= 7
    assert not has_long_word("red pan 500ml")


def test_units_are_typed_in_several_ways():
    rng = np.random.default_rng(0)
    typed = {spoken(rng, "500 ml") for _ in range(100)}
    assert {"500 ml", "500ml", "500 milliliter"} <= typed
    assert all(text.startswith("500") for text in typed)


def test_a_description_holds_the_noun_the_brand_and_every_value():
    rng = np.random.default_rng(0)
    asked = (("size", "3 m"), ("use", "camping"), ("feature", "with lid"))
    for _ in range(50):
        words = described(rng, "grill", asked, "Emberly").split()
        assert {"grill", "emberly", "lid"} <= set(words)
        assert words[words.index("camping") - 1] == "for"
        assert words.index("with") > words.index("grill")
