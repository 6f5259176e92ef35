"""Suggestions while a shopper types, each checked against the current items."""

from catalog.catalogue import Catalogue
from lexical.index import LexicalIndex
from lexical.suggestions import Completion, Kind, Suggestion
from lexical.suggestions.text import key_offsets, scripts_of, typed_key
from search.channels.lexical import LexicalChannel
from search.errors import NotSupportedError
from search.request import SuggestRequest
from search.result import SuggestedText, Suggestions
from search.runtime.stage_timer import StageTimer
from search.snapshot import Snapshot

_FIRST_ROWS = 8  # number of rows to look at first for an item that is not deleted


def suggest(snapshot: Snapshot, request: SuggestRequest, timer: StageTimer) -> Suggestions:
    """Return the suggestions for what a shopper has typed so far.

    Raises:
        NotSupportedError: the bundle has no suggestions, or no lexical channel.
        DeadlineExceededError: the deadline passed.
    """
    index = next((c.index for c in snapshot.channels if isinstance(c, LexicalChannel)), None)
    if snapshot.suggestions is None or index is None:
        raise NotSupportedError("this bundle has no suggestions; build it again with `train`")
    with timer.stage("suggest") as stage:
        completions = snapshot.suggestions.complete(
            request.prefix,
            request.page_size,
            lambda suggestion: find_row(snapshot.catalogue, index, suggestion),
            frozenset(map(Kind, request.kinds)),
            scripts_of(request.language),
        )
        stage.candidates = len(completions.found)
        typed = len((completions.corrected or typed_key(request.prefix)).rstrip())
        suggestions = tuple(_described(snapshot, found, typed) for found in completions.found)
    return Suggestions(suggestions, completions.corrected, timer.reports)


def find_row(catalogue: Catalogue, index: LexicalIndex, suggestion: Suggestion) -> int | None:
    """Return the row of a current item that has all words of a suggestion; None: there is none."""
    alive = catalogue.alive
    if suggestion.row >= 0 and (alive is None or alive[suggestion.row]):
        return suggestion.row
    most = _FIRST_ROWS
    while True:
        rows = index.rows_with_all(suggestion.text, most)
        current = rows if alive is None else rows[alive[rows]]
        if len(current):
            return int(current[0])
        if len(rows) < most:
            return None
        most *= _FIRST_ROWS


def _described(snapshot: Snapshot, completion: Completion, typed: int) -> SuggestedText:
    """Return a suggestion with its target and the part that the first `typed` characters match."""
    suggestion = completion.suggestion
    offsets = key_offsets(suggestion.text)[completion.start : completion.start + typed]
    return SuggestedText(
        suggestion.text,
        suggestion.kind,
        suggestion.score,
        category=suggestion.value if suggestion.kind is Kind.CATEGORY else "",
        brand=suggestion.value if suggestion.kind is Kind.BRAND else "",
        item_id=snapshot.catalogue.id(suggestion.row) if suggestion.kind is Kind.TITLE else "",
        matched=((offsets[0], offsets[-1] + 1),) if offsets else (),
    )
