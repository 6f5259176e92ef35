"""Understand: turn the typed query into its interpretation, which all later steps read."""

from collections.abc import Callable
from dataclasses import replace

from search.pipeline.state import SearchState
from search.understanding.interpretation import NOTHING


class Understand:
    """Interprets the query of a search."""

    def __init__(self, is_real: Callable[[str], bool]) -> None:
        """Interpret with a function that says whether a word is a real word."""
        self._is_real = is_real

    def __call__(self, state: SearchState) -> None:
        """Set the codes, the interpretation and the rules of a curation, if there is a query."""
        request = state.request
        if not request.text:
            return
        kinds = requested = request.understanding & state.config.understanding
        with state.timer.step("understand"):
            if kinds.codes:
                state.codes = state.snapshot.codes(request.text, self._is_real)
            if state.codes.is_all:
                kinds = NOTHING  # no part of a code is a word
            understood = state.snapshot.interpret(
                request.text, request.language or state.config.language, kinds, self._is_real
            )
            # The settings turn "off" into a switch, so `effect` is never "off" here.
            limits, exclusions = state.config.price_limits, state.config.exclusions
            if understood.limits and limits != "off":
                with_effect = tuple(replace(x, effect=limits) for x in understood.limits)
                understood = replace(understood, limits=with_effect)
            if understood.exclusions and exclusions != "off":
                excluded = tuple(replace(x, effect=exclusions) for x in understood.exclusions)
                understood = replace(understood, exclusions=excluded)
            if requested.curated_rules:
                state.curated = state.snapshot.curations.rules_of(understood.typed, understood.text)
            if state.curated is not None:
                understood = replace(understood, curation_id=state.curated.curation_id)
            state.interpretation = understood
