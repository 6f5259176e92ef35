"""Attributes with a role: no model, no understanding and no highlight shows what they hide."""

import pytest

from bert.numerics import choose_numerics
from catalog.attribute_roles import AttributeRoles
from catalog.items import Item
from live.log.write_ahead_log import Write
from search.engine import Engine
from search.pipeline.demotion import mentioning
from search.request import SearchRequest
from search.understanding.interpretation import Exclusion
from tests.live.faults import Faults, FaultyIndex
from tests.tiny import BY_SCORE, tiny_items, write_bundle

ROLES = AttributeRoles(filter_only=frozenset({"margin"}), stored_only=frozenset({"supplier note"}))
LAMP = Item(
    "zulu",
    "Brass lamp",
    attributes={"supplier note": "overstock qx40872b", "margin": "highmargin", "tone": "amber"},
)


@pytest.fixture(scope="module")
def directory(tmp_path_factory, compilation_cache):
    made = tmp_path_factory.mktemp("roles") / "bundle"
    write_bundle(made, [*tiny_items(), LAMP], choose_numerics(), roles=ROLES)
    return made


@pytest.fixture(params=["built", "written"])
def engine(request, directory, tmp_path):
    """An engine whose item is in the bundle, or was written later, too."""
    engine = Engine.load(directory, BY_SCORE)
    if request.param == "built":
        yield engine
        return
    index = FaultyIndex(engine, tmp_path, Faults())
    index.apply([(1, Write("a", "mike", {"title": "Steel lamp", "attributes": LAMP.attributes}))])
    index.show(10)
    yield index.engine
    index.close()


def test_stored_values_are_not_recognised_and_filter_values_are(engine):
    query = "brass lamp overstock qx40872b highmargin amber"
    values = engine.search(SearchRequest(query)).interpretation.values
    assert {value.value for value in values} >= {"highmargin", "amber"}
    assert not [value for value in values if value.field == "attributes.supplier note"]


def test_words_of_unread_attributes_are_no_words_of_the_catalogue(engine):
    words = engine.snapshot.understanding.words
    assert "amber" in words
    assert not any(word in words for word in ("overstock", "highmargin", "supplier"))


def test_stored_values_are_no_codes_and_are_not_mentioned(engine):
    snapshot = engine.snapshot
    assert not len(snapshot.codes("qx40872b", str.isalpha).rows)
    rows = snapshot.rows(["zulu"])
    assert not mentioning(snapshot, rows, (Exclusion("no overstock", "overstock"),)).any()
    assert mentioning(snapshot, rows, (Exclusion("no highmargin", "highmargin"),)).all()


def test_highlights_leave_unread_attributes_out(engine):
    request = SearchRequest("brass lamp highmargin overstock amber", highlight=True, page_size=50)
    [lamp] = [hit for hit in engine.search(request).hits if hit.item_id == "zulu"]
    assert [found.field for found in lamp.highlights] == ["title", "attributes.tone"]
