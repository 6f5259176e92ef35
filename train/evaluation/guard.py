"""Guard rails: a bundle takes what training made only if `dev` shows that it is better."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from train.evaluation.metrics import MIN_QUERIES, Interval

logger = logging.getLogger(__name__)

Rule: TypeAlias = Literal["better", "always"]


@dataclass(frozen=True)
class GuardConfig:
    """Which trained models a bundle takes. A model is left out unless it is better on `dev`."""

    # better: take trained towers only if they rank 30 or more `dev` queries better than the initial
    # towers (paired 95% interval of nDCG@10 above zero); always: take them in any case
    towers: Rule = "better"
    # better: take a trained reranker only if it ranks 30 or more `dev` queries better than recall,
    # or than the reranker of the bundle that --init-from names; always: take it in any case
    reranker: Rule = "better"


@dataclass(frozen=True)
class Decision:
    """Whether a bundle takes a trained model.

    Attributes:
        taken: Whether the bundle takes the model.
        line: The decision and its reason, for people.
    """

    taken: bool
    line: str

    def to_json(self) -> dict[str, Any]:
        """Return the decision as JSON values for the report of a step."""
        return {"taken": self.taken, "line": self.line}


def decide(model: str, instead: str, rule: Rule, difference: Interval) -> Decision:
    """Decide whether a bundle takes a trained model, and log the decision.

    Args:
        model: What was trained, such as "towers".
        instead: What the bundle does without the trained model, for people.
        rule: The rule of the configuration.
        difference: The improvement of nDCG@10 on `dev`; zero queries if it was not measured.
    """
    taken = rule == "always" or difference.verdict == "better"
    line = f"{model}: {'taken' if taken else f'left out, {instead}'} ({described(difference)})"
    if rule == "always":
        line += f", as --guard.{model} always says"
    logger.info("guard: %s", line)
    return Decision(taken, line)


def can_be_taken(rule: Rule, dev_queries: int) -> bool:
    """Return whether training is worth its time: `dev` can show that its result is better."""
    return rule == "always" or dev_queries >= MIN_QUERIES


def untrained(model: str, instead: str, dev_queries: int) -> Decision:
    """Return the decision not to train a model, because `dev` has too few queries; log it."""
    line = (
        f"{model}: not trained, {instead} ({dev_queries} dev queries are too few to tell whether "
        f"training helps; judge and compare {MIN_QUERIES} or more, or give --guard.{model} always)"
    )
    logger.info("guard: %s", line)
    return Decision(taken=False, line=line)


def described(difference: Interval) -> str:
    """Describe an improvement on `dev` for people."""
    if not difference.queries:
        return "dev queries are too few, or their judgments fit no ranking"
    low, high = f"{difference.low:+.3f}", f"{difference.high:+.3f}"
    return (
        f"nDCG@10 on dev {difference.mean:+.3f} [{low}, {high}], {difference.queries:,} queries: "
        f"{difference.verdict}"
    )


def lines_of(reports: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the lines of all decisions in the reports of a bundle."""
    decisions = (report.get(name) for report in reports.values() for name in ("events", "guard"))
    lines = [each["line"] for each in decisions if isinstance(each, Mapping) and "line" in each]
    return [*lines, reports["weights"]["line"]]
