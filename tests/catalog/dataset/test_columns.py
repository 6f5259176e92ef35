"""Convert values: a wrong value in a batch does not change the others."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.dataset.columns import convert, from_json, from_text
from catalog.schema import DATE, FLAG, NUMBER, TIME, TYPE_HELP, WHOLE

SIGNS = st.text("0123456789+-.,:eETZ /naifNtrueFALS", max_size=24)
DATES = st.dates().map(str)
TIMES = st.datetimes(timezones=st.none() | st.timezones()).map(str)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | DATES | TIMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@pytest.mark.parametrize("kind", [NUMBER, WHOLE, FLAG, DATE, TIME], ids=str)
@settings(max_examples=40)
@given(cell=SIGNS | DATES | TIMES | st.floats().map(str))
def test_a_cell_converts_alike_alone_and_beside_a_wrong_one(kind, cell):
    _, alone = convert([cell], kind, from_text)
    column, bad = convert(["wrong", cell, ""], kind, from_text)

    assert bad == [0, *[1 for _ in alone]]
    assert len(column) == 3
    assert column.type == kind
    assert not column[0].is_valid
    assert not column[2].is_valid


@pytest.mark.parametrize("kind", TYPE_HELP, ids=str)
@settings(max_examples=40)
@given(value=JSON)
def test_a_json_value_converts_alike_alone_and_beside_a_wrong_one(kind, value):
    wrong = {"wrong": {"deep": 1}}  # wrong for every type, because no type has nested maps
    expected, alone = convert([value], kind, from_json)
    column, bad = convert([value, wrong], kind, from_json)

    assert bad == [*[0 for _ in alone], 1]
    # Compare texts, because NaN differs from itself.
    assert str(column[0]) == str(expected[0])
