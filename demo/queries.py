"""The queries of the demo shop: intents, and their wordings.

An intent is a leaf category with attribute values, and sometimes a brand and a price limit. A query
is one wording of an intent. There are eight kinds of queries; every split has the same shares of
the kinds:

- `head`: a name of the category from titles ("sofa", "frying pans");
- `synonym`: a name that titles never use ("couch", "settee grey");
- `attributes`: one to three attributes and a name of the category ("2 seater velvet couch");
- `brand`: a brand and a name of the category;
- `sentence`: the purpose, without a name of the category ("keep coffee hot on the road");
- `use`: a purpose or a group of people ("headphones for gaming", "boots for kids waterproof");
- `budget`: a price limit ("tent under 150");
- `typo`: a query of kind `head`, `synonym` or `attributes` with a typing error.

No intent occurs in two kinds or in two splits. Therefore, a `test` query is never a rewording of a
`train` query. However, the splits share the words of a category, as in any shop. For category names
without conditions, and for sentences, different words count as different intents.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from demo.departments import LEAVES
from demo.phrasing import described, has_long_word, mistyped, pick, plural, spoken
from demo.products import Product
from demo.vocabulary import FOR, Leaf

KIND_SHARES: Mapping[str, float] = {
    "head": 0.08,
    "synonym": 0.18,
    "attributes": 0.20,
    "brand": 0.10,
    "sentence": 0.17,
    "use": 0.08,
    "budget": 0.05,
    "typo": 0.14,
}
SPLIT_SHARES: Mapping[str, float] = {"train": 0.59, "dev": 0.09, "test": 0.32}
_SECOND_WORDING = 0.2  # share of intents with two wordings


@dataclass(frozen=True)
class Intent:
    """The need behind a query."""

    leaf: Leaf
    asked: tuple[tuple[str, str], ...] = ()  # sorted pairs of attribute and value
    brand: str | None = None
    max_price: float | None = None  # in currency units


@dataclass(frozen=True)
class Query:
    """A query: one wording of an intent."""

    query_id: str
    text: str
    kind: str
    split: str
    intent: Intent


# A key identifies an intent; no key occurs twice.
_Key = tuple[object, ...]


def make_queries(
    rng: np.random.Generator, products: Sequence[Product], count: int
) -> tuple[Query, ...]:
    """Make `count` queries, up to rounding of the shares; splits share no text and no intent."""
    drawer = _Drawer(rng, products)
    queries: list[tuple[str, str, str, Intent]] = []
    for kind, share in KIND_SHARES.items():
        of_kind = round(share * count)
        bounds = np.cumsum(list(SPLIT_SHARES.values())) * of_kind
        for texts, intent, drawn in drawer.draw(kind, of_kind):
            split = list(SPLIT_SHARES)[int(np.searchsorted(bounds, drawn + 0.5))]
            queries += [(text, kind, split, intent) for text in texts]
    return tuple(
        Query(f"Q{number:04d}", *queries[index])
        for number, index in enumerate(rng.permutation(len(queries)), start=1)
    )


class _Drawer:
    """Draws intents and their wordings; no intent and no text occurs twice."""

    def __init__(self, rng: np.random.Generator, products: Sequence[Product]) -> None:
        self._rng = rng
        self._products: dict[str, list[Product]] = {}
        for product in products:
            self._products.setdefault(product.leaf.name, []).append(product)
        self._keys: set[_Key] = set()
        self._texts: set[str] = set()

    def draw(self, kind: str, count: int) -> Iterator[tuple[tuple[str, ...], Intent, int]]:
        """Yield one or two wordings, their intent, and the number of texts yielded before.

        The iterator ends early only if the products allow no further intents.
        """
        drawn = 0
        for _ in range(200 * count):
            if drawn == count:
                return
            base = pick(self._rng, ("head", "synonym", "attributes")) if kind == "typo" else kind
            intent, core, keys = self._intent(base, pick(self._rng, list(self._products)))
            if kind == "use" and FOR.isdisjoint(name for name, _ in intent.asked):
                continue
            wordings = 2 if drawn + 2 <= count and self._rng.random() < _SECOND_WORDING else 1
            texts = {self._word(base, intent, core).lower(): None for _ in range(wordings)}
            if kind == "typo":
                texts = {mistyped(self._rng, text): None for text in texts if has_long_word(text)}
            if not texts or not self._texts.isdisjoint(texts) or not self._keys.isdisjoint(keys):
                continue
            self._keys.update(keys)
            self._texts.update(texts)
            yield tuple(texts), intent, drawn
            drawn += len(texts)

    def _intent(self, kind: str, leaf_name: str) -> tuple[Intent, str, tuple[_Key, ...]]:
        """Draw an intent that a product of the leaf meets; return the intent, words and keys.

        The words are a name of the category or a sentence; "" allows any name of the category.
        """
        rng, leaf = self._rng, LEAVES[leaf_name]
        product = self._products[leaf_name][int(rng.integers(len(self._products[leaf_name])))]
        most = {"synonym": 1, "attributes": 3, "brand": 1, "sentence": 1, "budget": 1, "use": 2}
        names = sorted(product.attributes)
        asked_count = int(rng.integers(int(kind in ("attributes", "use")), most.get(kind, 0) + 1))
        asked = tuple(
            (names[index], product.attributes[names[index]])
            for index in sorted(rng.permutation(len(names))[:asked_count])
        )
        brand = product.brand if kind == "brand" else None
        limit = self._limit(leaf_name, product) if kind == "budget" else None
        core = ""
        if kind == "sentence":
            core = pick(rng, leaf.needs)
        elif kind in ("head", "synonym"):
            core = pick(rng, leaf.nouns if kind == "head" else leaf.words)
        keys: list[_Key] = []
        if core and (kind == "sentence" or not asked):
            keys.append((leaf_name, core))
        if asked or brand is not None or limit is not None:
            keys.append((leaf_name, asked, brand, limit))
        return Intent(leaf, asked, brand, limit), core, tuple(keys)

    def _limit(self, leaf_name: str, product: Product) -> float:
        """Return a round price limit that the product and the cheapest third of the leaf meet."""
        prices = [other.price for other in self._products[leaf_name]]
        price = max(float(np.quantile(prices, 0.33)), product.price)
        step = 5 if price < 100 else 50
        return float(np.ceil(price / step) * step)

    def _word(self, kind: str, intent: Intent, core: str) -> str:
        rng, leaf = self._rng, intent.leaf
        if kind == "sentence":
            return _with_extras(rng, core, intent.asked)
        noun = core or pick(rng, leaf.nouns if rng.random() < 0.5 else leaf.words)
        if rng.random() < 0.35:
            noun = plural(noun)
        text = described(rng, noun, intent.asked, intent.brand)
        if kind == "head" and rng.random() < 0.2:
            text = f"{pick(rng, ('best', 'good', 'new'))} {text}"
        if intent.max_price is not None:
            below = pick(rng, ("under", "below", "less than", "max"))
            text = f"{text} {below} {intent.max_price:.0f}"
        return text


def _with_extras(rng: np.random.Generator, sentence: str, asked: Sequence[tuple[str, str]]) -> str:
    """Return a sentence followed by attributes: "make pancakes on sunday, non-stick"."""
    return ", ".join([sentence, *(spoken(rng, value) for _, value in asked)])
