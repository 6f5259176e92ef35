"""Convert rules between the contract and the engine."""

from collections.abc import Mapping

from base.errors import check_count
from search.rules import (
    CHARGED,
    MAX_BOOSTS,
    MAX_CAPS,
    MAX_PINS,
    MAX_PROMOTIONS,
    Adjustment,
    Boost,
    Cap,
    Effect,
    Pin,
    PinProblem,
    Promotion,
    RuleReport,
    Rules,
)
from server.convert.filters import filter_message, filter_record
from shortlist.v1 import event_pb2, rules_pb2

_PROBLEMS: Mapping[PinProblem, "rules_pb2.PinProblem.ValueType"] = {
    PinProblem.UNKNOWN_ITEM: rules_pb2.PIN_PROBLEM_UNKNOWN_ITEM,
    PinProblem.FILTERED_OUT: rules_pb2.PIN_PROBLEM_FILTERED_OUT,
    PinProblem.EXCLUDED: rules_pb2.PIN_PROBLEM_EXCLUDED,
    PinProblem.REPLACED: rules_pb2.PIN_PROBLEM_REPLACED,
}

_CHARGED = {name: event_pb2.EventType.Value(f"EVENT_TYPE_{name.upper()}") for name in CHARGED}


def rules_record(message: rules_pb2.Rules) -> Rules:
    """Convert rules to a record; raise RequestError for a malformed filter."""
    check_count(len(message.boosts), "rules.boosts", None, MAX_BOOSTS)
    check_count(len(message.caps), "rules.caps", None, MAX_CAPS)
    check_count(len(message.pins), "rules.pins", None, MAX_PINS)
    check_count(len(message.promotions), "rules.promotions", None, MAX_PROMOTIONS)
    excluded = message.excluded if message.HasField("excluded") else None
    return Rules(
        tuple(message.excluded_item_ids),
        None if excluded is None else filter_record(excluded, "rules.excluded"),
        tuple(
            Boost(filter_record(boost.filter, f"rules.boosts[{index}].filter"), boost.strength)
            for index, boost in enumerate(message.boosts)
        ),
        message.diversity,
        tuple(Cap(cap.field, cap.max_results, cap.category_level) for cap in message.caps),
        tuple(Pin(pin.item_id, pin.position) for pin in message.pins),
        tuple(map(_promotion_record, message.promotions)),
        message.promoted_share,
    )


def rules_message(rules: Rules) -> rules_pb2.Rules:
    """Convert rules to a message."""
    return rules_pb2.Rules(
        excluded_item_ids=rules.excluded_item_ids,
        excluded=None if rules.excluded is None else filter_message(rules.excluded),
        boosts=[
            rules_pb2.Boost(filter=filter_message(boost.filter), strength=boost.strength)
            for boost in rules.boosts
        ],
        diversity=rules.diversity,
        caps=[rules_pb2.Cap(**vars(cap)) for cap in rules.caps],
        pins=[rules_pb2.Pin(**vars(pin)) for pin in rules.pins],
        promotions=[
            rules_pb2.Promotion(**{**vars(promotion), "charged": _CHARGED[promotion.charged]})
            for promotion in rules.promotions
        ],
        promoted_share=rules.promoted_share,
    )


def _promotion_record(message: rules_pb2.Promotion) -> Promotion:
    types = {number: name for name, number in _CHARGED.items()}
    min_relevance = Promotion.min_relevance
    return Promotion(
        message.promotion_id,
        tuple(message.item_ids),
        message.daily_budget,
        message.cost or Promotion.cost,
        types.get(message.charged, "") if message.charged else Promotion.charged,
        message.min_relevance if message.HasField("min_relevance") else min_relevance,
    )


def adjustment_message(adjustment: Adjustment) -> rules_pb2.Adjustment:
    """Convert the effect of a rule on one result to a message."""
    message = rules_pb2.Adjustment(rule=adjustment.rule, curation_id=adjustment.curation_id)
    match adjustment.effect:
        case Effect.BOOSTED:
            message.score_change = adjustment.score_change
        case Effect.DIVERSIFIED:
            message.move.from_position = adjustment.from_position
            message.move.to_position = adjustment.to_position
        case Effect.OUT_OF_STOCK:
            message.out_of_stock = True
        case Effect.PINNED:
            message.pinned_position = adjustment.to_position
        case Effect.PROMOTED:
            message.promoted_position = adjustment.to_position
    return message


def report_message(report: RuleReport) -> rules_pb2.RuleReport:
    """Convert the effect of a rule on the whole list to a message."""
    return rules_pb2.RuleReport(
        rule=report.rule,
        affected_count=report.affected_count,
        pin_problem=rules_pb2.PIN_PROBLEM_UNSPECIFIED
        if report.pin_problem is None
        else _PROBLEMS[report.pin_problem],
        curation_id=report.curation_id,
    )
