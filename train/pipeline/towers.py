"""The `towers` step: train the two towers on relevant query-item pairs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Bool, Float32, Float64, Int32, Int64

from base.errors import InputError
from bert.batch import Packed
from bert.matmul import precision
from bert.numerics import Numerics
from bert.tokens import Tokenised, Tokenizer, stack
from catalog.equal_rows import first_of_equals
from catalog.item_text import normalise_query
from towers.encoder import TowerEncoder
from towers.losses import InBatchLoss, symmetric_in_batch_softmax
from towers.model import Towers, TowersConfig
from towers.tokens import tokenise
from train.data.batches import Packer, grouped_plan
from train.data.relevance import Relevance
from train.evaluation.guard import Rule, decide
from train.evaluation.metrics import bootstrap, ndcg
from train.loop.fit import Loss, TrainingSetup, fit
from train.loop.parameters import Params, encoder_parameters, split
from train.people.next_items import ItemPairBatch, NextItems, interleaved

IN_BATCH_LOSS: InBatchLoss = symmetric_in_batch_softmax  # the loss that the towers train with
MIN_TEMPERATURE = 0.01  # lower limit, as in CLIP; lower temperatures only overfit
DEV_DEPTH = 10  # ranks that the dev metric counts


@dataclass(frozen=True)
class PairsConfig:
    """Training pairs of the towers, and their evaluation on `dev`."""

    batch: int = 64  # number of pairs in a training step
    # number of pairs with similar queries that share a step and are each other's hard negatives
    group: int = 32
    max_pairs: int = 0  # maximum number of training pairs, drawn at random; 0 takes all
    dev_queries: int = 300  # number of `dev` queries, on which the best step is chosen
    # number of items to rank for each `dev` query: all judged items, and items drawn at random
    dev_items: int = 3000
    # weight of events beside judgments; None chooses it on `dev`, and 0 leaves out events
    event_weight: float | None = None
    trial_pairs: int = 1000  # about the number of judged pairs in a training that compares weights
    # number of training steps on the events of --with-data for each step on the pairs of --data
    next_item_steps: float = 0.25

    def __post_init__(self) -> None:
        """Check that the share of steps is in range."""
        if not 0 < self.next_item_steps <= 10:
            raise InputError(f"pairs: next_item_steps {self.next_item_steps} is not in (0, 10]")


class PairBatch(NamedTuple):
    """The inputs of one training step.

    For towers with a shared encoder, `packed` has one batch: the queries, then the items. For
    separate encoders, it has two batches: one of queries, and one of items.
    """

    packed: tuple[Packed, ...]
    where: Bool[np.ndarray, "batch batch"]
    weights: Float32[np.ndarray, "batch"]


# Makes the inputs of a training step from a batch of the plan.
_Loader: TypeAlias = Callable[[Int64[np.ndarray, "batch"]], PairBatch | ItemPairBatch]


@dataclass(frozen=True)
class Pairs:
    """Relevant query-item pairs, tokenised.

    Attributes:
        queries: Tokens of each distinct query.
        items: Tokens of each catalogue item.
        query: Query of each pair.
        item: Item row of each pair.
        weight: Weight of each pair: its gain divided by the greatest gain.
        name: For each query, the first query with the same normalised text.
        text: For each item row, the first row with the same text.
        liked: Sorted codes of all relevant pairs: `name * number of items + text`.
        truncated: Number of queries and items that were cut to their token budget.
    """

    queries: Tokenised
    items: Tokenised
    query: Int32[np.ndarray, "pairs"]
    item: Int32[np.ndarray, "pairs"]
    weight: Float32[np.ndarray, "pairs"]
    name: Int64[np.ndarray, "queries"]
    text: Int64[np.ndarray, "items"]
    liked: Int64[np.ndarray, "likes"]
    truncated: int = 0

    def __len__(self) -> int:
        return len(self.query)

    def false_negatives(self, pairs: Int64[np.ndarray, "batch"]) -> Bool[np.ndarray, "batch batch"]:
        """Return which items of a batch are relevant to which queries.

        Element [i, j] is True if the item of pair j, or an item with the same text, is relevant to
        the query of pair i.
        """
        names = self.name[self.query[pairs]]
        codes = names[:, None] * np.int64(len(self.text)) + self.text[self.item[pairs]]
        positions = np.minimum(np.searchsorted(self.liked, codes), len(self.liked) - 1)
        return np.asarray(self.liked[positions] == codes)

    def loader(
        self, plan: Sequence[Int64[np.ndarray, "batch"]], *, shared: bool, devices: int
    ) -> Callable[[Int64[np.ndarray, "batch"]], PairBatch]:
        """Return a function that makes the inputs of a training step from a batch of `plan`."""
        if shared:
            texts = stack(self.queries, self.items)
            both = [self._both(pairs) for pairs in plan]
            packers = [(Packer.fitting(texts, both, devices=devices), self._both)]
        else:
            queries = [self._queries(pairs) for pairs in plan]
            items = [self._items(pairs) for pairs in plan]
            packers = [
                (Packer.fitting(self.queries, queries, devices=devices), self._queries),
                (Packer.fitting(self.items, items, devices=devices), self._items),
            ]

        def load(pairs: Int64[np.ndarray, "batch"]) -> PairBatch:
            packed = tuple(packer(texts(pairs)) for packer, texts in packers)
            return PairBatch(packed, ~self.false_negatives(pairs), self.weight[pairs])

        return load

    def _both(self, pairs: Int64[np.ndarray, "batch"]) -> Int64[np.ndarray, "texts"]:
        """Return the numbers of a batch's texts; items are numbered after all queries."""
        return np.concatenate([self._queries(pairs), self._items(pairs) + len(self.queries)])

    def _queries(self, pairs: Int64[np.ndarray, "batch"]) -> Int64[np.ndarray, "batch"]:
        return np.asarray(self.query[pairs], np.int64)

    def _items(self, pairs: Int64[np.ndarray, "batch"]) -> Int64[np.ndarray, "batch"]:
        return np.asarray(self.item[pairs], np.int64)


def make_pairs(
    relevance: Relevance, tokenizer: Tokenizer, config: TowersConfig, texts: Sequence[str]
) -> Pairs:
    """Make training pairs from the relevant query-item pairs of `relevance`.

    Args:
        relevance: Training queries only.
        tokenizer: The tokenizer of the towers' encoder.
        config: The towers' token budgets.
        texts: Text of every catalogue item, by row.
    """
    text = first_of_equals(texts)
    name = first_of_equals([normalise_query(query) for query in relevance.queries])
    query, item = relevance.query[relevance.relevant], relevance.item[relevance.relevant]
    gain = relevance.gain[relevance.relevant]
    queries, cut_queries = tokenise(tokenizer, config, "query", relevance.queries)
    items, cut_items = tokenise(tokenizer, config, "item", texts)
    return Pairs(
        queries=queries,
        items=items,
        query=query,
        item=item,
        weight=(gain / gain.max(initial=1e-9)).astype(np.float32),
        name=name,
        text=text,
        liked=np.unique(name[query] * np.int64(len(texts)) + text[item]),
        truncated=cut_queries + cut_items,
    )


def train_towers(
    towers: Towers,
    tokenizer: Tokenizer,
    numerics: Numerics,
    relevance: Relevance,
    texts: Sequence[str],
    config: PairsConfig,
    setup: TrainingSetup,
    rule: Rule = "always",
    next_items: NextItems | None = None,
) -> tuple[Towers, dict[str, Any]]:
    """Train towers on `train` queries, and return them if `rule` allows it.

    Otherwise, the initial towers are returned.

    Args:
        towers: The initial towers.
        tokenizer: The tokenizer of the towers' encoder.
        numerics: Input type of matrix products.
        relevance: Judged pairs of all splits.
        texts: Text of every catalogue item, by row.
        config: Settings of the training pairs and of the `dev` metric.
        setup: Settings, devices and directories of the training loop. Its seed also draws the
            items of the `dev` metric.
        rule: When to return the trained towers.
        next_items: Pairs of items of another dataset, for the item tower; None without any.

    Returns:
        The towers, and a report: pairs, steps, the best `dev` metric, and the decision by `rule`.
    """
    trained = fit_towers(towers, tokenizer, numerics, relevance, texts, config, setup, next_items)
    difference = bootstrap(trained.dev - trained.initial_dev)
    decision = decide("towers", "the initial towers stay", rule, difference)
    report = {**trained.report, "guard": decision.to_json()}
    return (trained.towers if decision.taken else towers), report


class TrainedTowers(NamedTuple):
    """The result of a training: the parameters with the best mean `dev` metric."""

    towers: Towers
    dev: Float64[np.ndarray, "queries"]  # the `dev` metric of each query
    initial_dev: Float64[np.ndarray, "queries"]  # the same for the initial towers
    report: dict[str, Any]


def fit_towers(
    towers: Towers,
    tokenizer: Tokenizer,
    numerics: Numerics,
    relevance: Relevance,
    texts: Sequence[str],
    config: PairsConfig,
    setup: TrainingSetup,
    next_items: NextItems | None = None,
) -> TrainedTowers:
    """Train towers on `train` queries, and return those with the best metric on `dev`.

    The arguments are those of `train_towers`.
    """
    pairs = make_pairs(relevance.only("train"), tokenizer, towers.config, texts)
    if not len(pairs):
        raise InputError("no query of split train has a relevant item: nothing to train towers on")
    chosen, seed, epochs = np.arange(len(pairs)), setup.seed, setup.config.epochs
    if config.max_pairs:
        chosen = np.random.default_rng(seed).permutation(chosen)[: config.max_pairs]
    encoder = TowerEncoder(towers, tokenizer, numerics, bulk=True)
    queries = encoder.run("query", pairs.queries)[pairs.query[chosen]]
    batches = grouped_plan(queries, config.batch, config.group, epochs=epochs, seed=seed)
    plan = [chosen[batch] for batch in batches]
    load: _Loader = pairs.loader(plan, shared=towers.config.shared, devices=setup.devices)
    if next_items is not None:
        plan, load = _with_next_items(plan, load, len(pairs), next_items, config, setup)
    dev = relevance.only("dev")
    dev_queries, _ = tokenise(tokenizer, towers.config, "query", dev.queries)
    build, initial = split(towers)
    values = dev_values(dev, dev_queries, pairs.items, encoder, build, config, seed)
    best, report = fit(
        initial,
        pairs_loss(build, numerics.input_dtype),
        plan,
        load,
        setup,
        encoder=encoder_parameters(towers),
        evaluate=(lambda params: float(values(params).mean()))
        if dev.queries_with_gain("dev")
        else None,
    )
    report |= {"pairs": len(chosen), "truncated": pairs.truncated}
    if next_items is not None:
        report |= {"item_pairs": len(next_items)}
    return TrainedTowers(build(best), values(best), values(initial), report)


def _with_next_items(
    plan: list[Int64[np.ndarray, "batch"]],
    load: _Loader,
    pairs: int,
    next_items: NextItems,
    config: PairsConfig,
    setup: TrainingSetup,
) -> tuple[list[Int64[np.ndarray, "batch"]], _Loader]:
    """Add batches of item pairs to a plan, numbered after all query-item pairs.

    A batch has pairs of one dataset. So no item is a negative for a pair of the other dataset.
    """
    steps = max(1, round(config.next_item_steps * len(plan)))
    others = next_items.plan(config.batch, steps, setup.seed)
    load_others = next_items.loader(others, devices=setup.devices)

    def load_either(batch: Int64[np.ndarray, "batch"]) -> PairBatch | ItemPairBatch:
        return load_others(batch - pairs) if batch[0] >= pairs else load(batch)

    return interleaved(plan, [other + pairs for other in others]), load_either


def pairs_loss(build: Callable[[Params], Towers], dtype: DTypeLike) -> Loss:
    """Make the training loss: `IN_BATCH_LOSS` over the cosines of a batch of pairs.

    Pairs of items subtract the logarithm of each item's share from the logits, because popular
    items are negatives more often (Yi et al., 2019). Only query-item pairs learn the temperature.
    """

    def loss(
        params: Params, batch: PairBatch | ItemPairBatch, key: Array | None
    ) -> tuple[Array, dict[str, Array]]:
        towers = build(params)
        log_temperature = jnp.maximum(towers.log_temperature[...], jnp.log(MIN_TEMPERATURE))
        if isinstance(batch, ItemPairBatch):
            (left, of_left), (items, of_items) = towers.encode_item_pairs(
                batch.packed, dtype=dtype, dropout_key=key
            )
            log_temperature = jax.lax.stop_gradient(log_temperature)
            correction = jnp.asarray(batch.log_shares) * jnp.exp(log_temperature)
        else:
            (left, of_left), (items, of_items) = towers.encode_pairs(
                batch.packed, dtype=dtype, dropout_key=key
            )
            correction = jnp.float32(0)
        value = IN_BATCH_LOSS(
            jnp.matmul(left, items.T, precision=precision(left.dtype)) - correction,
            log_temperature,
            where=jnp.asarray(batch.where),
            weights=jnp.asarray(batch.weights),
        )
        return value, {
            "temperature": jnp.exp(log_temperature),
            "query_norm": of_left["norm"],
            "item_norm": of_items["norm"],
        }

    return loss


def dev_values(
    relevance: Relevance,
    query_tokens: Tokenised,
    item_tokens: Tokenised,
    encoder: TowerEncoder,
    build: Callable[[Params], Towers],
    config: PairsConfig,
    seed: int,
) -> Callable[[Params], Float64[np.ndarray, "queries"]]:
    """Make the `dev` metric: nDCG@10 of each `dev` query with a gain over a pool of items.

    The pool has all items that are judged for these queries, and other items drawn at random.
    """
    random = np.random.default_rng(seed)
    with_gain = relevance.queries_with_gain("dev")
    queries = sorted(random.permutation(with_gain)[: config.dev_queries].tolist())
    if not queries:
        return lambda _: np.zeros(0)
    pairs = [relevance.pairs_of(query) for query in queries]
    judged = np.unique(np.concatenate([relevance.item[pair] for pair in pairs]))
    others = np.setdiff1d(random.permutation(len(item_tokens))[: config.dev_items], judged)
    pool = np.concatenate([judged, others[: max(0, config.dev_items - len(judged))]])
    gains = np.zeros((len(queries), len(pool)), np.float32)
    for row, pair in enumerate(pairs):
        gains[row, np.searchsorted(judged, relevance.item[pair])] = relevance.gain[pair]
    chosen_queries, items = query_tokens.take(queries), item_tokens.take(pool)

    def values(params: Params) -> Float64[np.ndarray, "queries"]:
        encoder.update(build(params))
        cosines = encoder.run("query", chosen_queries) @ encoder.run("item", items).T
        order = np.argsort(-cosines, axis=1, kind="stable")[:, :DEV_DEPTH]
        return ndcg(np.take_along_axis(gains, order, axis=1), gains, DEV_DEPTH)

    return values
