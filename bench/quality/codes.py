"""Measure how often a code finds its item, and how often a made-up code is marked as a guess.

    python -m bench.quality.codes --bundle out/icecat/bundle

A code is a title word of at least five characters, with letters and digits. A size such as 500GB is
not a code. A word that occurs in several titles is not a code either. A query is the item's brand
and code in lower case. A typo swaps two neighbouring characters, or drops, doubles or replaces one
character.

An identifier is an item_id, one of the identifiers, or a value of an attribute that is a code (see
`search.identifiers`) of at least five characters. A value that more than ten items share, such as
64-bit, is no identifier. It is asked as it is written, with its letters
and digits joined, with a space, a hyphen or a dot between the runs of letters and digits, and by
its digits alone if it has at least four. The first result must have the identifier in this form. A
made-up code is an identifier with other digits, of which no item has any form.
"""

import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import tyro

from catalog.items import Item
from lexical.analysers.english import prepare
from search.engine import Engine
from search.identifiers.codes import (
    attribute_codes,
    is_code,
    normal_form,
    own_codes,
    part_forms,
    pieces,
)
from search.identifiers.table import MOST_SHARED
from search.request import DENSE, LEXICAL, RetrieveRequest, SearchRequest
from search.result import Hit

TOP = 10
_MIN_CODE = 5  # minimum number of characters in a code
_MIN_DIGITS = 4  # minimum number of digits of a code that is asked for by its digits
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True)
class CodesConfig:
    """Options of `python -m bench.quality.codes`."""

    bundle: Path  # the bundle to search
    queries: int = 500  # items to search for, drawn at random
    identifiers: int = 300  # identifiers to search for, drawn at random
    made_up: int = 100  # codes that no item has
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


def spellings(code: str) -> dict[str, str]:
    """Return the ways to ask for an identifier, by name."""
    runs = pieces(code)
    digits = "".join(run for run in runs if run.isdecimal())
    asked = {"as written": code, "joined": "".join(runs)}
    if len(runs) > 1:
        signs = {"spaces": " ", "hyphens": "-", "dots": "."}
        asked |= {name: sign.join(runs) for name, sign in signs.items()}
    if len(digits) >= _MIN_DIGITS:
        asked["digits"] = digits
    return asked


def print_identifiers(engine: Engine, config: CodesConfig, chance: random.Random) -> None:
    """Print how often identifiers come first, and how often made-up codes are marked."""
    catalogue = engine.snapshot.catalogue

    shared = Counter(
        normal_form(code)
        for row in range(len(engine.store))
        for code in attribute_codes(catalogue.item(row))
    )

    def codes_of(item: Item) -> list[str]:
        of_item = (c for c in attribute_codes(item) if shared[normal_form(c)] <= MOST_SHARED)
        codes = (*own_codes(item), *of_item)
        return [code for code in codes if len(normal_form(code)) >= _MIN_CODE]

    rows = chance.choices(range(len(engine.store)), k=4 * config.identifiers)
    drawn = [chance.choice(codes) for row in rows if (codes := codes_of(catalogue.item(row)))]
    asked = [chance.choice(list(spellings(code).items())) for code in drawn[: config.identifiers]]
    right: Counter[str] = Counter()
    for spelling, query in asked:
        [hit, *_] = engine.search(SearchRequest(query, page_size=1)).hits
        assert hit.item is not None
        form = normal_form(query)
        found = (form == normal_form(c) or form in part_forms(c) for c in codes_of(hit.item))
        right[spelling] += any(found)
    for spelling, count in sorted(Counter(spelling for spelling, _ in asked).items()):
        sys.stdout.write(f"identifiers, {spelling}: first {right[spelling]} of {count}\n")
    sys.stdout.write(f"identifiers: first {sum(right.values()) / len(asked):.1%}\n")

    marked = count = 0
    while count < config.made_up:
        code = re.sub(r"\d", lambda _: str(chance.randrange(10)), chance.choice(drawn))
        form, index = normal_form(code), engine.snapshot.channels.lexical_index
        is_known = engine.snapshot.identifiers.find(form, catalogue)[0] is not None
        if not is_code(form) or is_known or (index is not None and index.has(code)):
            continue
        count += 1
        hits = engine.search(SearchRequest(code, page_size=TOP)).hits
        marked += all(hit.guessed for hit in hits)
    sys.stdout.write(f"made-up codes: {marked} of {count} marked as guesses\n")


def main(config: CodesConfig) -> None:
    """Print how often each system returns the item first, and how often among the first ten."""
    engine = Engine.load(config.bundle)
    chance = random.Random(config.seed)  # noqa: S311 - for samples, not secrets
    print_identifiers(engine, config, chance)
    if config.queries:
        print_title_codes(engine, config, chance)


def print_title_codes(engine: Engine, config: CodesConfig, chance: random.Random) -> None:
    """Print how often each system finds the item of a brand and a code, with and without a typo."""
    coded = list(codes(engine))
    if not coded:
        sys.stdout.write("no title has a code\n")
        return
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
