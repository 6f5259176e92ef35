"""Measure how often a query of brand and model code finds its item, with and without a typo.

    python -m bench.quality.codes --bundle out/icecat/bundle

A code is a title word of at least five characters, with letters and digits. A size such as 500GB is
not a code. A word that occurs in several titles is not a code either. A query is the item's brand
and code in lower case. A typo swaps two neighbouring characters, or drops, doubles or replaces one
character.
"""

import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import tyro

from lexical.analysers.english import prepare
from search.engine import Engine
from search.request import DENSE, LEXICAL, RetrieveRequest, SearchRequest
from search.result import Hit

TOP = 10
_MIN_CODE = 5  # minimum number of characters in a code
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True)
class CodesConfig:
    """Options of `python -m bench.quality.codes`."""

    bundle: Path  # the bundle to search
    queries: int = 500  # items to search for, drawn at random
    seed: int = 0  # seed of the choice of items and of the typos


def codes(engine: Engine) -> Iterator[tuple[str, str, str]]:
    """Yield the id, brand and code of every item with a brand and a code."""
    store = engine.store
    titles = [title.lower().split() if title else [] for title in store.text("title")]
    in_titles = Counter(word for title in titles for word in set(title))
    for item_id, brand, title in zip(store.ids, store.text("brand"), titles, strict=True):
        for word in title:
            is_code = bool(re.fullmatch(r"(?=.*\d)(?=.*[a-z])[a-z0-9][a-z0-9./-]*", word))
            is_size = prepare(word).startswith(word + " ")
            if (
                brand
                and is_code
                and not is_size
                and len(word) >= _MIN_CODE
                and in_titles[word] == 1
            ):
                yield item_id, brand.lower(), word
                break


def mistyped(code: str, chance: random.Random) -> str:
    """Return the code with one typo, never the code itself."""
    while True:
        i = chance.randrange(len(code) - 1)
        typos = (
            code[:i] + code[i + 1] + code[i] + code[i + 2 :],
            code[:i] + code[i + 1 :],
            code[:i] + code[i] + code[i:],
            code[:i] + chance.choice(_LETTERS) + code[i + 1 :],
        )
        typo = chance.choice(typos)
        if typo != code:
            return typo


def main(config: CodesConfig) -> None:
    """Print how often each system returns the item first, and how often among the first ten."""
    engine = Engine.load(config.bundle)
    chance = random.Random(config.seed)  # noqa: S311 - for samples, not secrets
    coded = list(codes(engine))
    if not coded:
        sys.exit(f"error: no item of {config.bundle} has a brand and a code")
    chosen = chance.sample(coded, min(config.queries, len(coded)))
    systems: dict[str, Callable[[str], tuple[Hit, ...]]] = {
        "dense": lambda query: (
            engine.retrieve(RetrieveRequest(query, page_size=TOP, channels=(DENSE,))).hits
        ),
        "lexical": lambda query: (
            engine.retrieve(RetrieveRequest(query, page_size=TOP, channels=(LEXICAL,))).hits
        ),
        "recall": lambda query: engine.retrieve(RetrieveRequest(query, page_size=TOP)).hits,
        "rerank": lambda query: engine.search(SearchRequest.by_score(query, page_size=TOP)).hits,
    }
    variants = {
        "as typed": [(item, f"{brand} {code}") for item, brand, code in chosen],
        "one typo": [(item, f"{brand} {mistyped(code, chance)}") for item, brand, code in chosen],
    }
    sys.stdout.write(f"{len(coded):,} items have a code; {len(chosen)} searched\n")
    for kind, queries in variants.items():
        for name, search in systems.items():
            pages = [[hit.item_id for hit in search(query)] for _, query in queries]
            answers = [(item, page) for (item, _), page in zip(queries, pages, strict=True)]
            first = sum(page[:1] == [item] for item, page in answers) / len(answers)
            within = sum(item in page for item, page in answers) / len(answers)
            sys.stdout.write(f"{kind}, {name}: first {first:.1%}, in {TOP} {within:.1%}\n")


if __name__ == "__main__":
    main(tyro.cli(CodesConfig, prog="python -m bench.quality.codes"))
