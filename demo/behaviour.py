"""Users of the demo shop, their result pages, and their actions.

**Tastes.** Each user has a price sensitivity (log-normal), favourite brands, and shares of interest
in departments (Dirichlet). `users.parquet` contains only facts that a real shop has: a segment, an
age band and a country. For most users, segment and age band follow from the tastes.

**The logging policy** ranks the products that look like the query's intent (same leaf, same
section, accessories) by text grade + popularity_weight · ln(1 + rating count) + Gumbel noise, and
shows the top `page_size`. The policy is good but not perfect. It ignores the user and the stock.

**Attractiveness** is the probability that a user clicks an examined product:

    a(u, q, d) = sigmoid(bias + grade_weight · grade(q, d)
                         + brand_weight · [the brand of d is a favourite of u]
                         - price_weight · sensitivity(u) · ln(price of d / median of its leaf))

**Two click models**: sessions with even numbers use `position`, the others use `cascade`.

- position (Craswell et al., "An experimental comparison of click position-bias models", WSDM 2008,
  the examination hypothesis; also Richardson et al., WWW 2007): every position k is examined
  independently with probability theta_k = k ** -examination_decay, so
  P(click at k) = theta_k · a_k;
- cascade (the same paper's own model): the user reads from the top and leaves with the first
  click, so P(click at k) = a_k · Π_{j<k} (1 - a_j).

**After a click**, the user adds the product to the cart with probability
sigmoid(cart_bias + cart_grade_weight · grade), but never adds a product that is out of stock. The
user buys a product in the cart with probability `purchase_probability`. A quantity is one plus a
number from a Poisson distribution.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta

import numpy as np
from jaxtyping import Bool, Float, Int64

from demo.departments import DEPARTMENTS
from demo.judgments import grades, pools, text_grades
from demo.products import AS_OF, Product
from demo.queries import Query
from demo.vocabulary import Leaf

_SEGMENTS = ("premium", "regular", "saver")
_AGE_BANDS = ("18-29", "30-44", "45-59", "60+")
_COUNTRIES = ("DE", "FR", "GB", "NL", "US")
_LOG_END = datetime.combine(AS_OF + timedelta(days=1), time(), UTC)  # end of the last day


@dataclass(frozen=True)
class BehaviourModel:
    """Parameters of pages and actions; the docstring of the module has the formulas."""

    page_size: int = 10  # positions shown per search
    popularity_weight: float = 0.15  # weight of popularity in the logging policy
    policy_noise: float = 0.7  # scale of the Gumbel noise in the logging policy
    examination_decay: float = 0.9  # exponent of the position model
    bias: float = -2.2  # bias of attractiveness
    grade_weight: float = 0.9  # weight of the grade in attractiveness
    brand_weight: float = 0.9  # weight of a favourite brand in attractiveness
    price_weight: float = 0.6  # weight of the price in attractiveness
    sensitivity_sigma: float = 0.7  # sigma of the log-normal price sensitivity
    favourite_brands: int = 6  # number of favourite brands per user, over all departments
    department_concentration: float = 0.6  # concentration of the Dirichlet over departments
    more_searches: float = 0.5  # Poisson mean of a session's searches after the first
    query_popularity_decay: float = 0.6  # Zipf exponent of query popularity
    cart_bias: float = -2.2  # bias of the probability to add to the cart
    cart_grade_weight: float = 0.7  # weight of the grade in the probability to add to the cart
    purchase_probability: float = 0.45  # probability that the user buys a product in the cart
    cheap_below: float = 30.0  # price below which a product is cheap, in currency units
    more_of_cheap: float = 0.4  # Poisson mean of the extra units of a cheap product
    more_of_others: float = 0.03  # Poisson mean of the extra units of another product
    activity_shape: float = 0.8  # shape of the gamma distribution of user activity
    hint_probability: float = 0.7  # probability that segment and age band follow from the tastes


@dataclass(frozen=True)
class User:
    """A user's hidden tastes and known attributes."""

    user_id: str
    price_sensitivity: float
    favourite_brands: tuple[str, ...]
    departments: Mapping[str, float]  # share of interest by department
    segment: str
    age_band: str
    country: str


@dataclass(frozen=True)
class Event:
    """One row of the event log; `quantity` is None for event types without a quantity."""

    time: datetime
    product: Product
    type: str
    session_id: str
    user: User
    query: Query
    position: int
    quantity: int | None = None


def click_model_of(session_id: str) -> str:
    """Return the click model of a session: "position" for even numbers, else "cascade"."""
    return "cascade" if int(session_id[1:]) % 2 else "position"


def make_users(rng: np.random.Generator, model: BehaviourModel, count: int) -> tuple[User, ...]:
    """Make users; the segment and age band of most users follow from their tastes."""
    names = [department.leaves[0].department for department in DEPARTMENTS]
    brands = [brand for department in DEPARTMENTS for brand in department.brands]
    users = []
    for number in range(1, count + 1):
        sensitivity = float(rng.lognormal(0, model.sensitivity_sigma))
        shares = rng.dirichlet(np.full(len(names), model.department_concentration))
        segment = int(np.searchsorted([0.65, 1.5], sensitivity))
        age_band = int(np.argmax(shares)) % len(_AGE_BANDS)
        if rng.random() >= model.hint_probability:
            segment, age_band = int(rng.integers(3)), int(rng.integers(len(_AGE_BANDS)))
        users.append(
            User(
                user_id=f"U{number:04d}",
                price_sensitivity=sensitivity,
                favourite_brands=tuple(
                    str(brand) for brand in rng.permutation(brands)[: model.favourite_brands]
                ),
                departments=dict(zip(names, (float(share) for share in shares), strict=True)),
                segment=_SEGMENTS[segment],
                age_band=_AGE_BANDS[age_band],
                country=_COUNTRIES[int(rng.integers(len(_COUNTRIES)))],
            )
        )
    return tuple(users)


def make_events(
    rng: np.random.Generator,
    model: BehaviourModel,
    *,
    products: Sequence[Product],
    queries: Sequence[Query],
    users: Sequence[User],
    sessions: int,
    days: int,
) -> list[Event]:
    """Make the event log of `sessions` sessions over `days` days, in order of time.

    Users search only `train` queries, so a model that learns from the log sees no `test` query.
    """
    shop = Shop(rng, model, products, [query for query in queries if query.split == "train"])
    activity = rng.gamma(model.activity_shape, size=len(users))
    who = rng.choice(len(users), size=sessions, p=activity / activity.sum())
    events: list[Event] = []
    for number, user_index in enumerate(who, start=1):
        start = _LOG_END - timedelta(seconds=float(rng.uniform(7200, days * 86400)))
        for query in shop.searches(users[user_index]):
            new_events = shop.search(f"S{number:05d}", users[user_index], query, start)
            events += new_events
            start = new_events[-1].time + timedelta(seconds=float(rng.uniform(20, 120)))
    return sorted(events, key=lambda event: event.time)


class Shop:
    """Simulates result pages and actions, and knows the true probabilities of actions."""

    def __init__(
        self,
        rng: np.random.Generator,
        model: BehaviourModel,
        products: Sequence[Product],
        queries: Sequence[Query],
    ) -> None:
        self._rng, self._model, self._queries = rng, model, queries
        self._pools = pools(products)
        prices: dict[Leaf, list[float]] = {}
        for product in products:
            prices.setdefault(product.leaf, []).append(product.price)
        self._median_price = {leaf: float(np.median(values)) for leaf, values in prices.items()}
        self._policy: dict[str, Float[np.ndarray, " pool"]] = {}  # noiseless scores by query id
        ranks = rng.permutation(len(queries)) + 1.0
        self._popularity = ranks**-model.query_popularity_decay
        names = [department.leaves[0].department for department in DEPARTMENTS]
        self._department = np.array([names.index(q.intent.leaf.department) for q in queries])

    def searches(self, user: User) -> list[Query]:
        """Draw a session's distinct queries, by popularity and the user's departments."""
        shares = np.array(list(user.departments.values()))
        weights = self._popularity * shares[self._department]
        count = min(1 + int(self._rng.poisson(self._model.more_searches)), len(self._queries))
        gumbel = self._rng.gumbel(size=len(weights))
        order = np.argsort(-(np.log(weights + 1e-12) + gumbel), kind="stable")
        return [self._queries[index] for index in order[:count]]

    def search(self, session_id: str, user: User, query: Query, start: datetime) -> list[Event]:
        """Return a page's impressions, all at one time, then the actions in order of time."""
        page = self._page(query)
        events = [
            Event(start, product, "impression", session_id, user, query, position)
            for position, product in enumerate(page, start=1)
        ]
        page_grades = grades(query.intent, page)
        attractive = self.attractiveness(user, query, page)
        clicked = clicks(self._rng, self._model, click_model_of(session_id), attractive)
        now = start
        for index in np.flatnonzero(clicked):
            shown = events[index]
            now += timedelta(seconds=float(self._rng.uniform(3, 60)))
            steps: list[tuple[str, int | None]] = [("click", None)]
            steps += self._after_click(shown.product, int(page_grades[index]))
            for kind, quantity in steps:
                events.append(replace(shown, time=now, type=kind, quantity=quantity))
                now += timedelta(seconds=float(self._rng.uniform(5, 90)))
        return events

    def pool(self, query: Query) -> Sequence[Product]:
        """Return the products that look like the query's intent."""
        return self._pools[query.intent.leaf]

    def scores(self, query: Query) -> Float[np.ndarray, " pool"]:
        """Return the scores of the pool in the logging policy, without noise."""
        if query.query_id not in self._policy:
            pool = self.pool(query)
            fits = text_grades(query.intent, pool)
            popularity = np.log1p([product.rating_count for product in pool])
            self._policy[query.query_id] = fits + self._model.popularity_weight * popularity
        return self._policy[query.query_id]

    def attractiveness(
        self, user: User, query: Query, page: Sequence[Product]
    ) -> Float[np.ndarray, " positions"]:
        """Return the true probability that the user clicks each product, once examined."""
        model, page_grades = self._model, grades(query.intent, page)
        favourite = np.array([product.brand in user.favourite_brands for product in page])
        price = np.log([product.price / self._median_price[product.leaf] for product in page])
        return _sigmoid(
            model.bias
            + model.grade_weight * page_grades
            + model.brand_weight * favourite
            - model.price_weight * user.price_sensitivity * price
        )

    def purchases_per_click(
        self, query: Query, page: Sequence[Product]
    ) -> Float[np.ndarray, " positions"]:
        """Return the true probability that a user who clicks a product buys it."""
        in_stock = np.array([product.in_stock for product in page], float)
        cart = self._cart(grades(query.intent, page))
        return np.asarray(in_stock * cart * self._model.purchase_probability)

    def _page(self, query: Query) -> list[Product]:
        pool, scores = self.pool(query), self.scores(query)
        noise = self._rng.gumbel(scale=self._model.policy_noise, size=len(pool))
        order = np.argsort(-(scores + noise), kind="stable")
        return [pool[index] for index in order[: self._model.page_size]]

    def _cart(
        self, page_grades: Int64[np.ndarray, " positions"]
    ) -> Float[np.ndarray, " positions"]:
        return _sigmoid(self._model.cart_bias + self._model.cart_grade_weight * page_grades)

    def _after_click(self, product: Product, grade: int) -> list[tuple[str, int | None]]:
        """Draw the actions that follow a click, each with its quantity or None."""
        model = self._model
        [cart] = self._cart(np.array([grade]))
        if not product.in_stock or self._rng.random() >= cart:
            return []
        cheap = product.price < model.cheap_below
        quantity = 1 + int(
            self._rng.poisson(model.more_of_cheap if cheap else model.more_of_others)
        )
        if self._rng.random() >= model.purchase_probability:
            return [("add_to_cart", quantity)]
        return [("add_to_cart", quantity), ("purchase", quantity)]


def clicks(
    rng: np.random.Generator,
    model: BehaviourModel,
    name: str,
    attractive: Float[np.ndarray, " positions"],
) -> Bool[np.ndarray, " positions"]:
    """Draw the clicks on one page by the named click model; positions start at the top."""
    drawn: Bool[np.ndarray, " positions"] = rng.random(len(attractive)) < attractive
    if name == "cascade":
        seen = np.cumsum(drawn) - drawn == 0  # examined until the first click
    else:
        seen = rng.random(len(attractive)) < examination(model)[: len(attractive)]
    clicked: Bool[np.ndarray, " positions"] = drawn & seen
    return clicked


def examination(model: BehaviourModel) -> Float[np.ndarray, " positions"]:
    """Return the position model's theta: the probability that a user examines each position."""
    theta: Float[np.ndarray, " positions"] = (
        np.arange(1.0, model.page_size + 1) ** -model.examination_decay
    )
    return theta


def _sigmoid(x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    chance: Float[np.ndarray, " n"] = 1 / (1 + np.exp(-x))
    return chance
