"""The content of curations as JSON, with the names of the contract."""

import json
from collections.abc import Mapping
from typing import Any

from base.errors import check_count
from search.curation import filter_json
from search.curation.curation import Content, QueryRules
from search.curation.json_values import fields_of, list_of, typed
from search.rules import NO_RULES, Boost, Cap, Pin, Promotion, Rules
from search.understanding.synonyms import SynonymRule

MAX_CONTENT_BYTES = 64 * 2**10

_RULES = (
    "excluded_item_ids",
    "excluded",
    "boosts",
    "diversity",
    "caps",
    "pins",
    "promotions",
    "promoted_share",
)


def to_json(content: Content) -> str:
    """Return the content of a curation as JSON; equal contents give equal text.

    Raises:
        RequestError: the text is too long.
    """
    fields: dict[str, Any]
    if isinstance(content, SynonymRule):
        fields = {"synonyms": {"line": content.line, "language": content.language}}
    else:
        rules = _rules_object(content.rules)
        fields = {"query_rules": {"queries": list(content.queries), "rules": rules}}
    text = json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    [name] = fields
    check_count(len(text.encode()), name, None, MAX_CONTENT_BYTES, "bytes")
    return text


def from_json(text: str) -> Content:
    """Read the content from text that `to_json` wrote.

    Raises:
        RequestError: `to_json` cannot have written the text.
        ValueError: the text is not JSON.
    """
    fields = fields_of(json.loads(text), "", optional=("synonyms", "query_rules"))
    if "query_rules" in fields:
        return query_rules(fields["query_rules"], "query_rules")
    rule = fields_of(fields.get("synonyms"), "synonyms", ("line", "language"))
    line, language = (typed(rule[name], str, f"synonyms.{name}") for name in ("line", "language"))
    return SynonymRule(line, language)


def query_rules(value: Any, path: str) -> QueryRules:
    """Return the rules by query of an object with `queries` and `rules`.

    Args:
        value: The object.
        path: Its path, for errors; "" for the whole document.

    Raises:
        RequestError: the object has another form.
    """
    prefix = f"{path}." if path else ""
    fields = fields_of(value, path, ("queries", "rules"))
    queries = list_of(fields["queries"], f"{prefix}queries")
    return QueryRules(
        tuple(typed(each, str, f"{prefix}queries[{n}]") for n, each in enumerate(queries)),
        _rules(fields["rules"], f"{prefix}rules"),
    )


def _rules_object(rules: Rules) -> dict[str, Any]:
    """Return rules as an object for JSON, without the rules that change nothing."""
    fields = {
        "excluded_item_ids": list(rules.excluded_item_ids),
        "excluded": None if rules.excluded is None else filter_json.to_object(rules.excluded),
        "boosts": [
            {"filter": filter_json.to_object(boost.filter), "strength": boost.strength}
            for boost in rules.boosts
        ],
        "diversity": rules.diversity,
        "caps": [_set(vars(cap)) for cap in rules.caps],
        "pins": [vars(pin) for pin in rules.pins],
        "promotions": [
            {**vars(promotion), "item_ids": list(promotion.item_ids)}
            for promotion in rules.promotions
        ],
        "promoted_share": rules.promoted_share,
    }
    return _set(fields)


def _rules(value: Any, path: str) -> Rules:
    fields = fields_of(value, path, optional=_RULES)
    if not fields:
        return NO_RULES

    def parts(name: str) -> list[tuple[str, Any]]:
        listed = list_of(fields.get(name, []), f"{path}.{name}")
        return [(f"{path}.{name}[{index}]", part) for index, part in enumerate(listed)]

    excluded = fields.get("excluded")
    return Rules(
        tuple(typed(part, str, at) for at, part in parts("excluded_item_ids")),
        None if excluded is None else filter_json.filter_of(excluded, f"{path}.excluded"),
        tuple(_boost(part, at) for at, part in parts("boosts")),
        typed(fields.get("diversity", 0.0), float, f"{path}.diversity"),
        tuple(_cap(part, at) for at, part in parts("caps")),
        tuple(_pin(part, at) for at, part in parts("pins")),
        tuple(_promotion(part, at) for at, part in parts("promotions")),
        typed(fields.get("promoted_share", 0.0), float, f"{path}.promoted_share"),
    )


def _boost(value: Any, path: str) -> Boost:
    fields = fields_of(value, path, ("filter", "strength"))
    filter = filter_json.filter_of(fields["filter"], f"{path}.filter")
    return Boost(filter, typed(fields["strength"], float, f"{path}.strength"))


def _cap(value: Any, path: str) -> Cap:
    fields = fields_of(value, path, ("field", "max_results"), ("category_level",))
    return Cap(
        typed(fields["field"], str, f"{path}.field"),
        typed(fields["max_results"], int, f"{path}.max_results"),
        typed(fields.get("category_level", 0), int, f"{path}.category_level"),
    )


def _pin(value: Any, path: str) -> Pin:
    fields = fields_of(value, path, ("item_id", "position"))
    return Pin(
        typed(fields["item_id"], str, f"{path}.item_id"),
        typed(fields["position"], int, f"{path}.position"),
    )


def _promotion(value: Any, path: str) -> Promotion:
    required = ("promotion_id", "item_ids", "daily_budget")
    fields = fields_of(value, path, required, ("cost", "charged", "min_relevance"))
    item_ids = list_of(fields["item_ids"], f"{path}.item_ids")
    numbers = ("daily_budget", "cost", "min_relevance")
    return Promotion(
        typed(fields["promotion_id"], str, f"{path}.promotion_id"),
        tuple(typed(each, str, f"{path}.item_ids[{n}]") for n, each in enumerate(item_ids)),
        charged=typed(fields.get("charged", Promotion.charged), str, f"{path}.charged"),
        **{
            name: typed(fields[name], float, f"{path}.{name}") for name in numbers if name in fields
        },
    )


def _set(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return only the fields that have a value."""
    return {name: value for name, value in fields.items() if value}
