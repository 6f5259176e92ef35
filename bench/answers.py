"""Compare answers during swaps with each bundle's answers alone, to detect mixtures."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.openloop import Answer, Call
from bench.process import serving
from shortlist.client import Client

# Bundle id, method and query.
Key = tuple[str, str, str]

# Scores of one pair differ between batch sizes under bfloat16, by at most 0.004 so far.
_TOLERANCE = 0.01


def recorded(
    bundles: Sequence[Path], cache: Path, queries: Sequence[str]
) -> tuple[dict[Key, Answer], float]:
    """Record the answers of Search and Retrieve from one server per bundle.

    Returns:
        The answers, and the share of methods and queries that the bundles answer differently.

    Raises:
        ValueError: the bundles answer everything alike, so a mixture could not be detected.
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
    differ = [any(not same(answer, all_[0]) for answer in all_) for all_ in by_request.values()]
    if not any(differ):
        raise ValueError("all bundles give the same answers, so a mixture could not be detected")
    return answers, sum(differ) / len(differ)


def same(answer: Answer, known: Answer) -> bool:
    """Whether items and scores agree; items of nearly equal scores may swap ranks."""
    if len(answer.results) != len(known.results):
        return False
    scores = dict(known.results)
    last = min(scores.values(), default=0.0)  # items just below the cut may score the same
    return all(
        abs(score - at_rank) <= _TOLERANCE and abs(score - scores.get(item, last)) <= _TOLERANCE
        for (item, score), (_, at_rank) in zip(answer.results, known.results, strict=True)
    )


def compare(calls: Sequence[Call], known: Mapping[Key, Answer]) -> tuple[str, int]:
    """Compare each answer with the recorded answer of the bundle that it names.

    Returns:
        A summary line, and the number of answers that differ.
    """
    counts = Counter[str]()
    for call in calls:
        if call.code != "OK" or call.method == "GetItem":  # GetItem names no bundle
            continue
        alone = known.get((call.answer.bundle, call.method, call.asked))
        if alone is not None and call.answer.reranked < alone.reranked:
            counts["shortened"] += 1  # less time: another order is correct
        else:
            counts["same" if alone is not None and same(call.answer, alone) else "other"] += 1
    return (
        f"{counts['same']} answers equal those of the named bundle alone, "
        f"{counts['other']} differ, {counts['shortened']} not compared (fewer candidates reranked)",
        counts["other"],
    )
