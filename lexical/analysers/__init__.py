"""Analysers by name. To add one: write `lexical/analysers/NAME.py`, and list it in `ANALYSERS`."""

from collections.abc import Mapping

from lexical.analysers import english, multilingual
from lexical.analysers.base import Analyser, QueryWord, Reader

ANALYSERS: Mapping[str, Analyser] = {
    analyser.name: analyser
    for analyser in (
        multilingual.ANALYSER,
        english.ANALYSER,
    )
}  # fmt: skip

__all__ = ["ANALYSERS", "Analyser", "QueryWord", "Reader"]
