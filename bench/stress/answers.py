"""Compare answers during bundle swaps with recorded answers, to detect mixtures of two bundles."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.service.process import serving
from bench.stress.openloop import Answer, Call
from shortlist.client import Client

# The key of a recorded answer: bundle id, method and query.
Key = tuple[str, str, str]

# Scores count as equal if they differ by at most this value. In bfloat16, the score of a pair
# depends on the batch size; the largest measured difference is 0.004.
_TOLERANCE = 0.01


def recorded(
    bundles: Sequence[Path], cache: Path, queries: Sequence[str]
) -> tuple[dict[Key, Answer], float]:
    """Record the answers of Search and Retrieve from one server per bundle.

    Returns:
        The answers, and the share of requests (method and query) that the bundles answer
        differently.

    Raises:
        ValueError: all bundles give the same answers, so a mixture could not be detected.
    """
    answers: dict[Key, Answer] = {}
    for bundle in bundles:
        with serving(bundle, cache) as server, Client(server.address, timeout_seconds=60) as client:
            for query in queries:
                for method, answer in (
                    ("Search", Answer.of_search(client.search(query))),
                    ("Retrieve", Answer.of_retrieve(client.retrieve(query))),
                ):
                    answers[answer.bundle, method, query] = answer
    by_request: dict[tuple[str, str], list[Answer]] = {}
    for (_, method, query), answer in answers.items():
        by_request.setdefault((method, query), []).append(answer)
    differ = [
        any(not same(answer, bundle_answers[0]) for answer in bundle_answers)
        for bundle_answers in by_request.values()
    ]
    if not any(differ):
        raise ValueError("all bundles give the same answers, so a mixture could not be detected")
    return answers, sum(differ) / len(differ)


def same(answer: Answer, known: Answer) -> bool:
    """Return whether items and scores agree; items with nearly equal scores may swap ranks."""
    if len(answer.results) != len(known.results):
        return False
    scores = dict(known.results)
    # An item may be missing from `known` only if its score nearly equals the last score of `known`.
    last = min(scores.values(), default=0.0)
    return all(
        abs(score - at_rank) <= _TOLERANCE and abs(score - scores.get(item, last)) <= _TOLERANCE
        for (item, score), (_, at_rank) in zip(answer.results, known.results, strict=True)
    )


def compare(calls: Sequence[Call], known: Mapping[Key, Answer]) -> tuple[str, int]:
    """Compare each answer with the recorded answer of the same bundle to the same request.

    Returns:
        A summary line, and the number of answers that differ.
    """
    counts = Counter[str]()
    for call in calls:
        if call.code != "OK" or call.method == "GetItem":  # answers of GetItem have no bundle id
            continue
        expected = known.get((call.answer.bundle, call.method, call.asked))
        if expected is not None and call.answer.reranked < expected.reranked:
            counts["shortened"] += 1  # too little time: another order is correct
        else:
            counts["same" if expected is not None and same(call.answer, expected) else "other"] += 1
    return (
        f"{counts['same']} answers equal the recorded answers of their bundle, "
        f"{counts['other']} differ, {counts['shortened']} not compared (fewer candidates reranked)",
        counts["other"],
    )
