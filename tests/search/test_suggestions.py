"""Engine.suggest: targets, typed parts, and the check against current items."""

from dataclasses import replace

import numpy as np
import pytest

from lexical.suggestions import Kind
from search.engine import Engine
from search.errors import DeadlineExceededError, NotSupportedError
from search.request import LEXICAL, RetrieveRequest, SuggestRequest
from search.suggestions import suggest


def test_each_kind_names_what_to_open(engine: Engine) -> None:
    found = engine.suggest(SuggestRequest("c", page_size=50)).suggestions
    by_text = {(s.text, s.kind): s for s in found}
    assert by_text["Chargers", Kind.CATEGORY].category == "Electronics > Chargers"
    [ohm] = engine.suggest(SuggestRequest("ohm", kinds=(Kind.BRAND,))).suggestions
    assert (ohm.text, ohm.brand, ohm.category, ohm.item_id) == ("Ohm & Co", "Ohm & Co", "", "")
    [title, *_] = engine.suggest(SuggestRequest("ampere u", kinds=(Kind.TITLE,))).suggestions
    item = engine.store.item(engine.store.row(title.item_id))
    assert item.title.lower().startswith("ampere usb")


def test_the_typed_part_is_given_in_code_points(engine: Engine) -> None:
    [ohm] = engine.suggest(SuggestRequest("ÓHM &", kinds=(Kind.BRAND,))).suggestions
    assert [ohm.text[start:end] for start, end in ohm.matched] == ["Ohm &"]
    [inside] = engine.suggest(SuggestRequest("co", kinds=(Kind.BRAND,))).suggestions
    assert [inside.text[start:end] for start, end in inside.matched] == ["Co"]


def test_a_corrected_prefix_is_returned(engine: Engine) -> None:
    suggestions = engine.suggest(SuggestRequest("chrager"))
    assert suggestions.corrected_prefix == "charger"
    first = suggestions.suggestions[0]
    assert [first.text[start:end].lower() for start, end in first.matched] == ["charger"]
    assert engine.suggest(SuggestRequest("charger")).corrected_prefix == ""


def test_every_suggestion_leads_to_results(engine: Engine) -> None:
    prefixes = {s.text[:n] for s in _all(engine) for n in (1, 2, 5)}
    assert len(prefixes) > 20
    for prefix in prefixes:
        for suggestion in engine.suggest(SuggestRequest(prefix, page_size=50)).suggestions:
            request = RetrieveRequest(suggestion.text, channels=(LEXICAL,), with_items=True)
            best = engine.retrieve(request).hits[0].item
            assert best is not None
            words = f"{best.title} {best.brand} {best.category}".lower()
            assert all(word in words for word in suggestion.text.lower().split())


def _all(engine: Engine):
    letters = "abcdefghijklmnopqrstuvwxyz"
    return [s for c in letters for s in engine.suggest(SuggestRequest(c, page_size=50)).suggestions]


def test_suggestions_whose_last_item_was_deleted_vanish(engine: Engine) -> None:
    snapshot = engine.snapshot
    titles = snapshot.catalogue.texts("title", np.arange(48, dtype=np.int32))
    cables = np.array(["cable" in (title or "") for title in titles])
    alive = replace(snapshot.catalogue, alive=~cables)
    deleted = snapshot.changed(alive)
    request = SuggestRequest("hdmi", kinds=(Kind.QUERY, Kind.TITLE))
    timer = engine._timer
    assert suggest(snapshot, request, timer(None)).suggestions
    assert suggest(deleted, request, timer(None)).suggestions == ()
    # One cable is left: the suggestions that it has stay, with this item.
    [last] = np.flatnonzero(cables)[-1:]
    left = ~cables
    left[last] = True
    one = snapshot.changed(replace(snapshot.catalogue, alive=left))
    found = suggest(one, request, timer(None)).suggestions
    assert {s.item_id for s in found if s.kind is Kind.TITLE} == {snapshot.catalogue.id(int(last))}
    assert all(word in (titles[last] or "").lower() for s in found for word in s.text.split())


def test_a_bundle_without_suggestions_says_so(engine: Engine) -> None:
    snapshot = replace(engine.snapshot, suggestions=None)
    with pytest.raises(NotSupportedError, match="no suggestions"):
        suggest(snapshot, SuggestRequest("usb"), engine._timer(None))


def test_a_passed_deadline_is_an_error(engine: Engine) -> None:
    with pytest.raises(DeadlineExceededError):
        engine.suggest(SuggestRequest("usb", deadline=0.0))
