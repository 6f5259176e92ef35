"""Compare the analysers of the lexical index, before and after in one run.

    python -m bench.quality.analysers --data $SHORTLIST_DATA/homedepot

The program builds one index per analyser, and prints these measures of both. A measure without
cases in the dataset is left out.

* Thousands: each number with separators of a title, with the word after it (5,000 BTU), asked as
  written and without separators. Share of queries whose first hit has the number in the title.
* Dimensions: judged queries with two numbers around an x. nDCG@10 and Recall@100.
* Signs: each title with ™, ® or ©, asked by its brand and its words up to the last sign, without
  signs. Share of queries with the item among the first 50 hits.
* Chinese: judged queries with Han characters, as written, in traditional characters, in full-width
  forms, and as syllables of pinyin without tones. MRR@10 and Recall@100, beside BM25 over Han
  characters and words of other letters, of titles and of item texts. The even half is the
  queries whose SHA-256 is even.
* All judged queries of the splits. nDCG@10 and Recall@100.
"""

import hashlib
import re
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import bm25s
import numpy as np
import opencc
import tyro
from jaxtyping import Float32, Int32
from pypinyin import lazy_pinyin

from catalog.dataset.reading import Dataset, read_dataset
from catalog.item_text import item_text, normalise_query
from catalog.store import ItemStore
from lexical.config import LexicalConfig
from lexical.index import LexicalIndex
from train.evaluation.report import JudgedQuery, full_corpus, judged_queries
from train.evaluation.runs import Ranking

_DEPTH = 100
_THOUSANDS = re.compile(r"(?<![\d.,])(\d{1,3}(?:,\d{3})+)(?![\d,])[\s-]*([^\W\d_]+)")
_DIMENSIONS = re.compile(r"\d+\s*x\s*\d+")
_SIGNS = re.compile("[™®©]")
_HAN = re.compile("[\u4e00-\u9fff]")
_TOKEN = re.compile("[\u4e00-\u9fff]|[^\\W\u4e00-\u9fff]+")
_FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}

# The rows of the best items for a query and their scores, best first.
Hits: TypeAlias = tuple[Int32[np.ndarray, "n"], Float32[np.ndarray, "n"]]
Search: TypeAlias = Callable[[str], Hits]


@dataclass(frozen=True)
class AnalysersConfig:
    """Options of `python -m bench.quality.analysers`."""

    data: Path  # a dataset directory
    analysers: tuple[str, ...] = ("english", "multilingual")  # the analysers to compare
    splits: tuple[str, ...] = ("train", "dev")  # splits of the judged queries


def main(config: AnalysersConfig) -> None:
    """Print all measures of all analysers."""
    dataset = read_dataset(config.data)
    store = ItemStore(dataset.items)
    queries = _queries(dataset, config.splits)
    chinese = [query for query in queries if _HAN.search(query.text)]
    with tempfile.TemporaryDirectory() as scratch:
        for name in config.analysers:
            start = time.perf_counter()
            index = LexicalIndex.build(store, Path(scratch, name), LexicalConfig(name))
            _print(f"{name}: index built in {time.perf_counter() - start:.1f} s")
            search = _lexical(index)
            _report_titles(name, search, store)
            _report_judged(name, search, store, queries)
            _report_chinese(name, search, store, chinese)
    if chinese:
        texts = [item_text(store.item(row)) for row in range(len(store))]
        for name, of_items in (("titles", store.text("title")), ("item texts", texts)):
            search = _character_bm25([text or "" for text in of_items])
            _report_chinese(f"BM25 of characters of {name}", search, store, chinese)


def _queries(dataset: Dataset, splits: Sequence[str]) -> list[JudgedQuery]:
    held = set() if dataset.judgments is None else set(dataset.judgments["split"].to_pylist())
    return [query for split in splits if split in held for query in judged_queries(dataset, split)]


def _lexical(index: LexicalIndex) -> Search:
    return lambda query: index.search(normalise_query(query), _DEPTH)


def _report_titles(name: str, search: Search, store: ItemStore) -> None:
    """Print the shares of titles that are found by a number, or without their signs."""
    titles = [title or "" for title in store.text("title")]
    numbers = sorted({match.groups() for title in titles for match in _THOUSANDS.finditer(title)})
    for spelling in ("5,000", "5000"):
        found = []
        for number, word in numbers:
            plain = number.replace(",", "")
            rows, _ = search(f"{number if spelling == '5,000' else plain} {word}")
            first = titles[rows[0]].replace(",", "") if len(rows) else ""
            found.append(re.search(rf"(?<!\d){plain}(?!\d)", first) is not None)
        _print_share(f"{name}: thousands as {spelling}: number in the first hit", found)
    found = []
    for row, (brand, title) in enumerate(zip(store.text("brand"), titles, strict=True)):
        if signs := list(_SIGNS.finditer(title)):
            words = _SIGNS.sub(" ", title[: signs[-1].end()])
            found.append(row in search(f"{brand or ''} {words}")[0][:50])
    _print_share(f"{name}: names without signs: item among the first 50", found)


def _report_judged(
    name: str, search: Search, store: ItemStore, queries: Sequence[JudgedQuery]
) -> None:
    """Print the metrics of the judged queries with dimensions, and of all judged queries."""
    dimensions = [query for query in queries if _DIMENSIONS.search(query.text)]
    for kind, some in (("dimensions", dimensions), ("all", queries)):
        if some:
            metrics = _metrics(search, store, some)
            _print_metrics(f"{name}: {kind}", metrics, ("ndcg@10", "recall@100"))


def _report_chinese(
    name: str, search: Search, store: ItemStore, queries: Sequence[JudgedQuery]
) -> None:
    """Print the metrics of Chinese queries in all their forms, for all queries and both halves."""
    if not queries:
        return
    traditional = opencc.OpenCC("s2t").convert
    forms: Mapping[str, Callable[[str], str]] = {
        "as written": str,
        "traditional": traditional,
        "full-width": lambda text: text.translate(_FULL_WIDTH),
        "pinyin": lambda text: " ".join(lazy_pinyin(text)),
    }
    even = [q for q in queries if hashlib.sha256(q.text.encode()).digest()[-1] % 2 == 0]
    odd = [query for query in queries if query not in even]
    for form, convert in forms.items():
        for half, some in (("even", even), ("odd", odd), ("all", queries)):
            converted = [replace(query, text=convert(query.text)) for query in some]
            metrics = _metrics(search, store, converted)
            _print_metrics(f"{name}: {form}, {half}", metrics, ("mrr@10", "recall@100"))


def _character_bm25(texts: Sequence[str]) -> Search:
    """Return BM25 over Han characters and words of other letters; k1 = 1.2 and b = 0.75."""
    model = bm25s.BM25(k1=1.2, backend="numpy")
    model.index([_TOKEN.findall(normalise_query(text)) for text in texts], show_progress=False)

    def search(query: str) -> Hits:
        scores = model.get_scores(_TOKEN.findall(normalise_query(query)))
        rows = np.argsort(-scores, kind="stable")[:_DEPTH].astype(np.int32)
        rows = rows[scores[rows] > 0]
        return rows, scores[rows]

    return search


def _metrics(search: Search, store: ItemStore, queries: Sequence[JudgedQuery]) -> dict[str, float]:
    """Return the mean of each metric over the queries."""
    ids = store.ids
    rankings = [
        Ranking([ids[row] for row in rows], scores)
        for rows, scores in (search(query.text) for query in queries)
    ]
    tops = [Ranking(ranking.item_ids[:10], ranking.scores[:10]) for ranking in rankings]
    values = full_corpus(queries, rankings) | {"mrr@10": full_corpus(queries, tops)["mrr"]}
    return {metric: float(np.nanmean(of_queries)) for metric, of_queries in values.items()}


def _print_metrics(name: str, metrics: Mapping[str, float], shown: Sequence[str]) -> None:
    _print(f"{name}: " + ", ".join(f"{metric} {metrics[metric]:.3f}" for metric in shown))


def _print_share(name: str, found: Sequence[bool]) -> None:
    if found:
        _print(f"{name}: {sum(found) / len(found):.1%} of {len(found)}")


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(tyro.cli(AnalysersConfig, prog="python -m bench.quality.analysers"))
