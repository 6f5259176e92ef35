"""Filters and helpers for tests of rules."""

from dataclasses import replace

from catalog.filters import Equals, Prefix

CHARGERS = Prefix("category", "Electronics > Chargers")
VOLTIX = Equals("brand", "Voltix")
QUERY = "usb c charger"


def ids(result) -> list[str]:
    return [hit.item_id for hit in result.hits]


def without_times(result):
    return replace(result, stages=tuple(replace(stage, seconds=0.0) for stage in result.stages))


def report(result, rule):
    [found] = [report for report in result.rules if report.rule == rule]
    return found
