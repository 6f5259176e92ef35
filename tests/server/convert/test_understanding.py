"""Switches of understanding, and interpretations, as messages."""

from dataclasses import replace

import pytest

from catalog.filters import Interval
from search.understanding.interpretation import (
    EVERYTHING,
    Change,
    Exclusion,
    Interpretation,
    Limit,
    RecognisedValue,
    Rewrite,
    Synonym,
)
from server.cli.search import understood_lines
from server.convert.understanding import interpretation_message, understanding_record
from shortlist.v1 import understanding_pb2
from shortlist.v1.filter_pb2 import Interval as IntervalMessage
from shortlist.v1.filter_pb2 import Value

INTERPRETATION = Interpretation(
    "labtop or couch under 50 no lace",
    "laptop or couch",
    rewrites=(
        Rewrite(Change.SPELLING, "labtop", "laptop", 0.75, applied=True),
        Rewrite(Change.JOINED, "dish washer", "dishwasher", 0.25, applied=False),
    ),
    synonyms=(Synonym("couch", "sofa", 0.5),),
    stop_words=("or",),
    limits=(Limit("under 50", Interval(below=50.0), "filter"),),
    exclusions=(Exclusion("no lace", "lace", "demote"),),
    values=(RecognisedValue("laptop", "category", "Electronics > Laptop"),),
)
MESSAGE = understanding_pb2.Interpretation(
    text="laptop or couch",
    rewrites=[
        understanding_pb2.Rewrite(
            change=understanding_pb2.CHANGE_SPELLING,
            words="labtop",
            replacement="laptop",
            probability=0.75,
            applied=True,
        ),
        understanding_pb2.Rewrite(
            change=understanding_pb2.CHANGE_JOINED,
            words="dish washer",
            replacement="dishwasher",
            probability=0.25,
        ),
    ],
    synonyms=[understanding_pb2.Synonym(words="couch", alternative="sofa", weight=0.5)],
    stop_words=["or"],
    limits=[
        understanding_pb2.Limit(
            words="under 50",
            interval=IntervalMessage(below=Value(number=50)),
            effect=understanding_pb2.UNDERSTANDING_EFFECT_FILTERED,
        )
    ],
    exclusions=[
        understanding_pb2.Exclusion(
            words="no lace",
            excluded="lace",
            effect=understanding_pb2.UNDERSTANDING_EFFECT_DEMOTED,
        )
    ],
    values=[
        understanding_pb2.RecognisedValue(
            words="laptop", field="category", value="Electronics > Laptop"
        )
    ],
)


def test_an_interpretation_becomes_a_message() -> None:
    assert interpretation_message(INTERPRETATION) == MESSAGE
    assert interpretation_message(None) is None


@pytest.mark.parametrize("kind", vars(EVERYTHING))
def test_each_switch_of_a_message_turns_one_kind_off(kind: str) -> None:
    message = understanding_pb2.Understanding(**{f"no_{kind}": True})
    assert understanding_record(message) == replace(EVERYTHING, **{kind: False})


def test_without_switches_every_kind_is_on() -> None:
    assert understanding_record(understanding_pb2.Understanding()) == EVERYTHING


def test_the_command_line_prints_what_changes_the_results() -> None:
    assert understood_lines(MESSAGE) == [
        "Showing results for: laptop or couch",
        "Did you mean: dishwasher",
        "Also searched for: sofa",
        "Only items: under 50",
        "Items first: no lace",
    ]
