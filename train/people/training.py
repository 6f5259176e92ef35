"""The `people` step: train the user tower on next sessions."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Float, Float32, Int32

from behaviour.cases import Case, window_case
from behaviour.interactions import SECONDS_PER_DAY, Interactions
from behaviour.models.popularity import Popularity
from catalog.dataset.problems import count
from catalog.events import EVENT_TYPES
from catalog.store import ItemStore
from search.channels.model_items import write_item_ids
from towers.history.encoder import UserEncoder
from towers.history.forward import context_rows
from towers.history.model import Histories, HistoryConfig, HistoryTower
from towers.history.moment import MomentFeatures
from towers.history.saving import save_history
from towers.vectors import Vectors
from train.evaluation.guard import Decision
from train.evaluation.metrics import MIN_QUERIES
from train.evaluation.recommend.metrics import DEPTH, TargetRanks, ndcg
from train.loop.fit import FitConfig, Loss, TrainingSetup, fit
from train.loop.parameters import Params, split
from train.people.action_batches import ActionBatch, ActionLoader, BatchConfig
from train.people.dataset import People
from train.people.next_actions import NextActionsConfig, Sessions
from train.people.residuals import ResidualConfig, fit_residuals

logger = logging.getLogger(__name__)

PEOPLE_FIT = FitConfig(head_learning_rate=5e-3)
_FIXED = ("item_residual", "event_residual")  # parameters that have a closed form
_WEEK = 7.0  # days
_LARGE = -1e9  # logit of a candidate that does not count


@dataclass(frozen=True)
class PeopleConfig:
    """Settings of the user tower and its training."""

    min_users: int = 1_000  # with fewer users with two sessions, there is no user tower
    residual_dim: int = 256  # width of the residual beside an item's text vector
    moment_dim: int = 16  # width of the block of item vectors that changes with time
    dev_days: int = 30  # days at the end of the data on which the steps are chosen; 0: all steps
    dev_users: int = 1000  # number of users, drawn at random, on whom the best step is chosen
    batches: BatchConfig = field(default_factory=BatchConfig)
    actions: NextActionsConfig = field(default_factory=NextActionsConfig)
    residuals: ResidualConfig = field(default_factory=ResidualConfig)


def next_action_loss(build: Callable[[Params], HistoryTower]) -> Loss:
    """Make the training loss: softmax cross-entropy of the next session among the candidates.

    `build` makes the tower from the parameters that train.
    """

    def loss(params: Params, batch: ActionBatch, _: Array | None) -> tuple[Array, dict[str, Array]]:
        tower = build(params)
        logits = candidate_scores(tower, batch) - jnp.asarray(batch.log_share)[None]
        shares = jax.nn.log_softmax(jnp.where(batch.allowed, logits, _LARGE), axis=-1)
        weights = jnp.asarray(batch.weights)
        value = -(weights * shares).sum() / jnp.maximum(weights.sum(), 1.0)
        return value, {"newest_half_life_days": jnp.exp(tower.log_half_lives[...][0])}

    return loss


def candidate_scores(tower: HistoryTower, batch: ActionBatch) -> Float[Array, "batch width"]:
    """Return the score of each candidate for each example of a training step."""
    config, highest = tower.config, jax.lax.Precision.HIGHEST
    count = batch.features.shape[1]
    moment = jnp.repeat(jnp.arange(count), len(batch.events) // count)
    block = tower.moment_block(jnp.asarray(batch.features))
    kept = jnp.asarray(batch.kept)[:, None]
    text, rows, events = jnp.asarray(batch.text), batch.rows, batch.events
    users = tower(
        Histories(
            text=text[events],
            residual=(tower.event_residual[...][rows] * kept)[events],
            moment=block[events, moment[:, None]],
            types=batch.types,
            gap_days=batch.gap_days,
            query=jnp.zeros((len(events), config.text_dim)),
            context=batch.context,
        )
    )
    fixed = jnp.concatenate([text, tower.item_residual[...][rows] * kept], axis=1)
    width = fixed.shape[1]
    scores = jnp.matmul(users[:, :width], fixed.T, precision=highest)
    of_moment = users[:, width:].reshape(count, -1, block.shape[-1])
    shifts = jnp.einsum("mek,wmk->mew", of_moment, block, precision=highest)
    return scores + shifts.reshape(scores.shape)


def build_user_tower(
    directory: Path,
    vectors: Vectors,
    store: ItemStore,
    people: People | None,
    config: PeopleConfig,
    setup: TrainingSetup,
) -> dict[str, Any]:
    """Train the user tower, and write it to a directory with the blocks of the items.

    The tower learns from what users do after their first session. With too few users who have two
    sessions, nothing is trained or written. A tower that is no better on the last `dev_days` than
    what it started from is not written, either.

    Args:
        directory: An existing directory.
        vectors: Unit vector of each item, from the item tower.
        store: The items.
        people: The users of the dataset; None if no event counts.
        config: Settings of the tower and its training.
        setup: Settings, devices and directories of the training loop.
    """
    if people is None:
        return {"users": 0, "tower": "none"}
    users = people.returning
    if users < config.min_users:
        line = (
            f"user tower: not trained ({count(users, 'user')} with two sessions, and "
            f"--people.min-users is {config.min_users:,})"
        )
        return {"users": users, "tower": "none", "guard": _decided(line, taken=False)}
    interactions, text = people.interactions, vectors[:]
    moments = MomentFeatures.of(interactions.of_types("purchase"), text, store.number("price"))
    tower, report = train_people(text, moments, interactions, config, setup, people.contexts)
    report = {"users": users, **report}
    if config.dev_days:
        taken = is_better(report)
        report["guard"] = _decided(_compared(report, taken=taken), taken=taken)
        if not taken:
            return {**report, "tower": "none"}
    save_user_tower(UserEncoder(tower, text, moments), tower, end_of(interactions), directory)
    write_item_ids(list(store.ids), directory)
    return report


def is_better(report: Mapping[str, Any]) -> bool:
    """Return whether a report of `train_people` is better than all of its starting points.

    Fewer than 30 users are too few to tell.
    """
    best = report["best"]
    is_told = best is not None and report["dev_users"] >= MIN_QUERIES
    return is_told and best > max(report["start"].values(), default=0.0)


def _compared(report: Mapping[str, Any], *, taken: bool) -> str:
    """Return the decision about a trained tower, with its reason."""
    values = {"user tower": report["best"] or 0.0, **report["start"]}
    figures = ", ".join(f"{name} {value:.3f}" for name, value in values.items())
    few = "" if report["dev_users"] >= MIN_QUERIES else ": too few to tell"
    return (
        f"user tower: {'taken' if taken else 'left out'} (nDCG@20 on dev: {figures}; "
        f"{count(report['dev_users'], 'user')}{few})"
    )


def _decided(line: str, *, taken: bool) -> dict[str, Any]:
    """Log a decision, and return it for the report of the step."""
    logger.info("guard: %s", line)
    return Decision(taken, line).to_json()


def save_user_tower(encoder: UserEncoder, tower: HistoryTower, now: int, directory: Path) -> None:
    """Write a tower, and the blocks of the items at a time, to an existing directory.

    The blocks have the residuals, so the file of the tower has none.
    """
    nothing = jnp.zeros((0, tower.config.residual_dim))
    small = HistoryTower(replace(tower.config, items=0), rngs=nnx.Rngs(0))
    state: Any = nnx.state(tower)
    for name in _FIXED:
        state[name] = state[name].replace(nothing)
    nnx.update(small, state)
    save_history(small, directory)
    encoder.blocks(now).save(directory)


def end_of(interactions: Interactions) -> int:
    """Return the end of the day of the last event, in seconds since 1970."""
    return (int(interactions.time.max(initial=0)) // SECONDS_PER_DAY + 1) * SECONDS_PER_DAY


def train_people(
    text: Float32[np.ndarray, "items text"],
    moments: MomentFeatures,
    interactions: Interactions,
    config: PeopleConfig,
    setup: TrainingSetup,
    contexts: Sequence[Mapping[str, str]] = (),
) -> tuple[HistoryTower, dict[str, Any]]:
    """Train the user tower on events.

    First, a tower trains on the events before the last `dev_days`, and the best number of steps is
    chosen on these days. Then, a tower trains on all events for this number of steps.

    Args:
        text: Unit vector of each item, from the item tower.
        moments: The features of the items.
        interactions: The events of all users.
        config: Settings of the tower and its training.
        setup: Settings, devices and directories of the training loop.
        contexts: Attributes of each user, such as the country; empty without attributes.

    Returns:
        The tower, and a report.
    """
    end = end_of(interactions)
    table = _context_table(contexts or [{}] * interactions.users, HistoryConfig.context_buckets)
    people = _People(text, moments, interactions, table, config, setup)
    if not config.dev_days:
        return people.fit(end, "all", config.actions.steps)
    case = dev_case(interactions, end - config.dev_days * SECONDS_PER_DAY, config, setup.seed)
    _, report = people.fit(case.now, "dev", config.actions.steps, case)
    tower, whole = people.fit(end, "all", report["best_step"] or config.actions.steps)
    chosen = {name: report[name] for name in ("best", "best_step", "start", "dev_users")}
    return tower, {**whole, **chosen}


@dataclass(frozen=True)
class _People:
    """The data of a training run, and how it trains."""

    text: Float32[np.ndarray, "items text"]
    moments: MomentFeatures
    interactions: Interactions
    contexts: Int32[np.ndarray, "users values"]
    config: PeopleConfig
    setup: TrainingSetup

    def fit(
        self, end: int, name: str, steps: int, dev: Case | None = None
    ) -> tuple[HistoryTower, dict[str, Any]]:
        """Train on the events before `end`; without a next session to learn from, do not train."""
        config, setup = self.config, self.setup
        past, seed = self.interactions.before(end), setup.seed
        tower = self._untrained(past, end)
        sessions = Sessions.of(past)
        plan = sessions.plan(replace(config.actions, steps=steps), seed)
        report: dict[str, Any] = {"sessions": len(sessions.day), "best": None, "best_step": 0}
        report |= {"start": {}, "dev_users": 0}
        if not plan:
            return tower, report
        loader = ActionLoader(
            sessions, self.text, self.moments, self.contexts, config.actions, config.batches, seed
        )
        split_tower, params = split(tower)
        fixed = {name: params.pop(name) for name in _FIXED}

        def build(params: Params) -> HistoryTower:
            return split_tower({**params, **fixed})

        metric = None
        if dev is not None and dev.targets.nnz:
            encoder = UserEncoder(tower, self.text, self.moments)
            report["start"] = starting_points(dev, self.text)
            report["dev_users"] = int(np.count_nonzero(np.diff(dev.targets.indptr)))

            def metric(params: Params) -> float:
                encoder.update(build(params))
                return _ndcg(dev, encoder.scores(dev.histories, dev.now))

        params, fitted = fit(
            params,
            next_action_loss(build),
            plan,
            loader.load(loader.log_shares(plan)),
            replace(setup, checkpoints=setup.checkpoints / name, scalars=setup.scalars / name),
            encoder=frozenset(),
            evaluate=metric,
        )
        return build(params), {**report, **fitted}

    def _untrained(self, past: Interactions, now: int) -> HistoryTower:
        config, (items, text_dim) = self.config, self.text.shape
        tower = HistoryTower(
            HistoryConfig(
                items,
                text_dim,
                config.residual_dim,
                config.moment_dim,
                read_types=tuple(EVENT_TYPES[code] for code in np.unique(past.type).tolist()),
            ),
            rngs=nnx.Rngs(self.setup.seed),
        )
        residuals = fit_residuals(past, now, config.residual_dim, config.residuals, self.setup.seed)
        tower.item_residual = nnx.Param(jnp.asarray(residuals.items))
        tower.event_residual = nnx.Param(jnp.asarray(residuals.events))
        return tower


def dev_case(interactions: Interactions, start: int, config: PeopleConfig, seed: int) -> Case:
    """Return the question of `dev`: users' first sessions from a time on, new items only."""
    purchases = interactions.of_types("purchase")
    users = np.random.default_rng(seed).permutation(
        np.intersect1d(purchases.before(start).user, purchases.since(start).user)
    )[: config.dev_users]
    chosen = purchases.of_users(np.sort(users))
    case = window_case(chosen, start, config.dev_days, first_basket=True, new_items=True)
    return replace(case, past=purchases.before(start))


def starting_points(case: Case, text: Float32[np.ndarray, "items text"]) -> dict[str, float]:
    """Return the nDCG@20 of what a tower starts from: popularity, and means of text vectors."""
    week = Popularity.fit(case.past, case.now, _WEEK).window(_WEEK)
    means = np.asarray(case.histories.matrix() @ text, np.float32)
    return {
        "popular_7_days": _ndcg(case, np.tile(week, (case.histories.users, 1))),
        "mean_text": _ndcg(case, means @ text.T),
    }


def _ndcg(case: Case, scores: Float32[np.ndarray, "users items"]) -> float:
    return float(np.nanmean(ndcg(TargetRanks.of(case.masked(scores), case.targets), DEPTH)))


def _context_table(
    contexts: Sequence[Mapping[str, str]], buckets: int
) -> Int32[np.ndarray, "users values"]:
    """Return the context rows of each user, padded with 0."""
    table = np.zeros((len(contexts), max([1, *(len(one) for one in contexts)])), np.int32)
    for row, one in zip(table, contexts, strict=True):
        row[: len(one)] = context_rows(one, buckets)
    return table
