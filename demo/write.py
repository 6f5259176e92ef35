"""Write the demo store as a dataset directory."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from base.errors import InputError
from catalog.schema import EVENTS, ITEMS, JUDGMENTS, Schema
from demo.behaviour import BehaviourModel, Event, User, examination, make_events, make_users
from demo.judgments import Judged, make_judgments
from demo.products import Product, make_products
from demo.queries import Query, make_queries

# Minimum and maximum sizes. Smaller stores can have an empty split or category; larger stores run
# out of combinations of words.
_LIMITS = {
    "products": (100, 20_000),
    "queries": (50, 2_000),
    "judged_positives": (1, 100),
    "users": (1, 100_000),
    "sessions": (1, 1_000_000),
    "days": (1, 3_650),
}


@dataclass(frozen=True)
class DemoConfig:
    """Sizes of the demo store, and the behaviour of its users."""

    products: int = 3000  # number of products
    queries: int = 1600  # number of queries, over all splits
    judged_positives: int = 40  # maximum number of judged products per query with grade 1 or more
    users: int = 800  # number of users
    sessions: int = 2600  # number of sessions in the event log
    days: int = 60  # number of days in the event log
    behaviour: BehaviourModel = field(default_factory=BehaviourModel)

    def __post_init__(self) -> None:
        for name, (least, most) in _LIMITS.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise InputError(f"demo store: {name} is {value}; give {least} to {most}")


DEFAULT = DemoConfig()


@dataclass(frozen=True)
class DemoStore:
    """The parts of a demo store, with the hidden tastes of users and intents of queries."""

    products: Sequence[Product]
    queries: Sequence[Query]
    judgments: Sequence[Judged]
    users: Sequence[User]
    events: Sequence[Event]

    @classmethod
    def make(cls, seed: int, config: DemoConfig = DEFAULT) -> "DemoStore":
        """Make a demo store.

        The same seed and config always give the same store. Each part has its own random stream, so
        a change to one part leaves independent parts unchanged.

        Raises:
            InputError: the seed is negative.
        """
        if seed < 0:
            raise InputError(f"demo store: the seed is {seed}; give 0 or more")
        streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(5)]
        products = make_products(streams[0], config.products)
        queries = make_queries(streams[1], products, config.queries)
        judgments = [*make_judgments(streams[2], products, queries, config.judged_positives)]
        users = make_users(streams[3], config.behaviour, config.users)
        events = make_events(
            streams[4],
            config.behaviour,
            products=products,
            queries=queries,
            users=users,
            sessions=config.sessions,
            days=config.days,
        )
        return cls(products, queries, judgments, users, events)


def write_demo_store(directory: Path, *, seed: int, config: DemoConfig = DEFAULT) -> None:
    """Write a demo store to `directory`, and create the directory if necessary.

    The files are items, judgments, events and users (`.parquet`), `dataset.json` and `truth.json`.
    `truth.json` has the parameters of the generator and is only for checks. The same seed and
    config always give identical files.

    Args:
        directory: Output directory; existing files with these names are replaced.
        seed: Seed, 0 or more.
        config: Sizes and behaviour; the default is the store of `--data demo`.

    Raises:
        InputError: the seed is negative.
    """
    store = DemoStore.make(seed, config)
    directory.mkdir(parents=True, exist_ok=True)
    _write_table(directory, ITEMS, _item_rows(store.products))
    _write_table(directory, JUDGMENTS, _judgment_rows(store.judgments))
    _write_table(directory, EVENTS, _event_rows(store.events))
    pq.write_table(pa.Table.from_pylist(_user_rows(store.users)), directory / "users.parquet")
    _write_json(directory / "dataset.json", {"name": "demo", "grade_min": 0, "relevant_from": 2})
    truth = _truth(seed, config, store.queries, store.users)
    _write_json(directory / "truth.json", truth)


def _write_table(directory: Path, schema: Schema, rows: Sequence[Mapping[str, object]]) -> None:
    fields = [column for column in schema.arrow if column.name in rows[0]]
    table = pa.Table.from_pylist(rows, schema=pa.schema(fields))
    pq.write_table(table, directory / f"{schema.name}.parquet")


def _item_rows(products: Sequence[Product]) -> list[dict[str, object]]:
    return [
        {
            "item_id": product.item_id,
            "title": product.title,
            "description": product.description,
            "brand": product.brand,
            "category": product.leaf.path,
            "group_id": product.group_id,
            "price": product.price,
            "rating": product.rating,
            "rating_count": product.rating_count,
            "released": product.released,
            "in_stock": product.in_stock,
            "attributes": list(product.attributes.items()),
        }
        for product in products
    ]


def _judgment_rows(judgments: Iterable[Judged]) -> list[dict[str, object]]:
    return [
        {
            "query_id": judged.query.query_id,
            "query": judged.query.text,
            "item_id": product.item_id,
            "grade": float(grade),
            "split": judged.query.split,
        }
        for judged in judgments
        for product, grade in zip(judged.products, judged.grades, strict=True)
    ]


def _event_rows(events: Sequence[Event]) -> list[dict[str, object]]:
    return [
        {
            "time": event.time,
            "item_id": event.product.item_id,
            "type": event.type,
            "session_id": event.session_id,
            "user_id": event.user.user_id,
            "query": event.query.text,
            "position": event.position,
            "price": event.product.price,
            "quantity": event.quantity,
        }
        for event in events
    ]


def _user_rows(users: Sequence[User]) -> list[dict[str, object]]:
    return [
        {
            "user_id": user.user_id,
            "segment": user.segment,
            "age_band": user.age_band,
            "country": user.country,
        }
        for user in users
    ]


def _truth(
    seed: int, config: DemoConfig, queries: Sequence[Query], users: Sequence[User]
) -> dict[str, object]:
    """Return the content of `truth.json`: hidden parameters, tastes and intents."""
    return {
        "seed": seed,
        "config": asdict(config),
        "click_models": {
            "position": {
                "formula": "P(click at k) = theta[k] * a[k]",
                "theta": [float(value) for value in examination(config.behaviour)],
                "sessions": "even session numbers",
            },
            "cascade": {
                "formula": "P(click at k) = a[k] * product over j < k of (1 - a[j])",
                "sessions": "odd session numbers",
            },
        },
        "attractiveness": "a = sigmoid(bias + grade_weight * grade + brand_weight * favourite"
        " - price_weight * price_sensitivity * ln(price / median price of the category))",
        "users": {
            user.user_id: {
                "price_sensitivity": user.price_sensitivity,
                "favourite_brands": list(user.favourite_brands),
                "departments": dict(user.departments),
            }
            for user in users
        },
        "queries": {
            query.query_id: {
                "kind": query.kind,
                "category": query.intent.leaf.path,
                "asked": dict(query.intent.asked),
                "brand": query.intent.brand,
                "max_price": query.intent.max_price,
            }
            for query in queries
        },
    }


def _write_json(path: Path, value: Mapping[str, object]) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
