"""What bundles answer by themselves, so that an answer that mixes two of them is found out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.openloop import Answer, Call
from bench.process import serving
from shortlist.client import Client

# A bundle's id, a method and a query.
Key = tuple[str, str, str]

# Between scores of one pair in batches of other sizes under bfloat16: 0.004 at most was seen.
_TOLERANCE = 0.01


def recorded(
    bundles: Sequence[Path], cache: Path, queries: Sequence[str]
) -> tuple[dict[Key, Answer], float]:
    """What Search and Retrieve answer from servers that serve one bundle and nothing else.

    Returns:
        The answers, and to which share of methods and queries the bundles' own differ.

    Raises:
        ValueError: to none, so that no mixture would show.
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
    by_asked: dict[tuple[str, str], list[Answer]] = {}
    for (_, method, query), answer in answers.items():
        by_asked.setdefault((method, query), []).append(answer)
    differ = [any(not same(answer, all_[0]) for answer in all_) for all_ in by_asked.values()]
    if not any(differ):
        raise ValueError("all bundles give the same answers: a mixture of them would not show")
    return answers, sum(differ) / len(differ)


def same(answer: Answer, known: Answer) -> bool:
    """Whether items and scores agree; items of nearly equal scores may have changed places."""
    if len(answer.results) != len(known.results):
        return False
    scores = dict(known.results)
    last = min(scores.values(), default=0.0)  # what was cut off behind it may be as good
    return all(
        abs(score - at_rank) <= _TOLERANCE and abs(score - scores.get(item, last)) <= _TOLERANCE
        for (item, score), (_, at_rank) in zip(answer.results, known.results, strict=True)
    )


def compare(calls: Sequence[Call], known: Mapping[Key, Answer]) -> tuple[str, int]:
    """Each answer beside what the bundle that it names answers alone.

    Returns:
        A line that says what was found, and how many answers differ.
    """
    counts = Counter[str]()
    for call in calls:
        if call.code != "OK" or call.method == "GetItem":  # whose answer names no bundle here
            continue
        own = known.get((call.answer.bundle, call.method, call.asked))
        if own is not None and call.answer.reranked < own.reranked:
            counts["shortened"] += 1  # for want of time: another order by right
        else:
            counts["same" if own is not None and same(call.answer, own) else "other"] += 1
    return (
        f"{counts['same']} answers as the bundle that they name gives them alone, "
        f"{counts['other']} otherwise, {counts['shortened']} not compared, as they reranked fewer "
        "candidates",
        counts["other"],
    )
