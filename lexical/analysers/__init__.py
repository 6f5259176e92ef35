"""Analysers by name. To add one: write `lexical/analysers/NAME.py`, and list it in `ANALYSERS`."""

from collections.abc import Mapping

from lexical.analysers import english
from lexical.analysers.base import Analyser

ANALYSERS: Mapping[str, Analyser] = {
    analyser.name: analyser
    for analyser in (
        english.ANALYSER,
    )
}  # fmt: skip

__all__ = ["ANALYSERS", "Analyser"]
