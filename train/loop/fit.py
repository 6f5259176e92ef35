"""The training loop: AdamW, warm-up and decay, early stopping on `dev`, resumable at any step."""

import logging
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, TypeAlias

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.sharding import Mesh
from jaxtyping import Int
from tensorboardX import SummaryWriter

from base.errors import InputError
from train.loop.checkpoint import Checkpoints
from train.loop.parameters import (
    Params,
    batch_sharding,
    is_kernel,
    parameter_sharding,
    replicate_rest,
)
from train.progress import track

logger = logging.getLogger(__name__)

# A batch: any pytree of NumPy arrays with the examples along each leading axis.
Batch: TypeAlias = Any
# (params, batch, dropout key or None) -> (loss, scalars worth watching)
Loss: TypeAlias = Callable[[Params, Batch, Array | None], tuple[Array, dict[str, Array]]]
# (loss, optimizer, dropout seed or None, params, moments) -> the compiled step
MakeStep: TypeAlias = Callable[..., Callable[..., tuple[Params, Any, dict[str, Array]]]]


@dataclass(frozen=True)
class FitConfig:
    """How a model is fitted; both stages use it."""

    learning_rate: float = 3e-5  # peak, after warm-up
    head_learning_rate: float = 1e-3  # peak for parameters outside the pretrained encoder
    warmup: float = 0.1  # share of all steps over which the rates rise from 0
    weight_decay: float = 0.01  # AdamW's, on kernels alone
    clip_norm: float = 1.0  # global norm that gradients are clipped to
    dropout: bool = False  # draw dropout at the encoder's rate; on CPUs it costs half a step more
    epochs: int = 1  # passes over the training examples
    evaluations: int = 4  # times `dev` is looked at over the whole run
    patience: int = 3  # evaluations without a new best before stopping early
    checkpoint_every: int = 200  # steps between checkpoints
    log_every: int = 20  # steps between logged losses

    def __post_init__(self) -> None:
        """Refuse intervals of nothing."""
        for name in ("epochs", "evaluations", "patience", "checkpoint_every", "log_every"):
            if getattr(self, name) < 1:
                raise InputError(f"fit: {name} is {getattr(self, name)}; give 1 or more")


def make_optimizer(
    config: FitConfig, params: Params, encoder: Collection[str], steps: int
) -> optax.GradientTransformation:
    """AdamW (Loshchilov and Hutter, 2019, arXiv 1711.05101) with clipped gradients.

    The rate rises linearly from 0 over `config.warmup` of the steps and falls linearly to 0. Only
    kernels decay.

    Args:
        config: Rates and limits.
        params: All parameters.
        encoder: Names of those that train at `learning_rate`; the others train at
            `head_learning_rate`.
        steps: Steps of the whole run.
    """
    warmup = max(1, round(config.warmup * steps))

    def adamw(peak: float) -> optax.GradientTransformation:
        rate = optax.schedules.join_schedules(
            [
                optax.schedules.linear_schedule(0.0, peak, warmup),
                optax.schedules.linear_schedule(peak, 0.0, max(1, steps - warmup)),
            ],
            [warmup],
        )
        return optax.adamw(rate, weight_decay=config.weight_decay, mask=_kernels)

    groups = {name: "encoder" if name in encoder else "head" for name in params}
    rates = {"encoder": config.learning_rate, "head": config.head_learning_rate}
    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.partition({group: adamw(rate) for group, rate in rates.items()}, groups),
    )


def _kernels(params: Mapping[str, Any]) -> dict[str, bool]:
    return {name: is_kernel(name) for name in params}


def make_train_step(
    loss: Loss,
    optimizer: optax.GradientTransformation,
    seed: int | None,
    params: Params,
    moments: Any,
) -> Callable[..., tuple[Params, Any, dict[str, Array]]]:
    """A function of parameters, moments, batch and step number that gives the next and scalars.

    Args:
        loss: Mean loss of a batch.
        optimizer: What `make_optimizer` made.
        seed: Decides dropout; None for none.
        params: Where parameters lie; the function overwrites those that it is given.
        moments: Where the optimiser's state lies; likewise.
    """
    # What comes out lies where what goes in lies; otherwise the second step compiles anew.
    params_at, moments_at = jax.tree.map(lambda leaf: leaf.sharding, (params, moments))

    @partial(jax.jit, donate_argnums=(0, 1), out_shardings=(params_at, moments_at, None))
    def step(
        params: Params, moments: Any, batch: Batch, number: Int[Array, ""]
    ) -> tuple[Params, Any, dict[str, Array]]:
        key = None
        if seed is not None:
            # rbg is the random generator that is cheap on every platform.
            key = jax.random.fold_in(jax.random.key(seed, impl="rbg"), number)
        (value, scalars), gradients = jax.value_and_grad(loss, has_aux=True)(params, batch, key)
        updates, moments = optimizer.update(gradients, moments, params)
        scalars = {"loss": value, "gradient_norm": optax.tree.norm(gradients), **scalars}
        return optax.apply_updates(params, updates), moments, scalars

    return step


class _State(NamedTuple):
    params: Params
    optimizer: Any
    best: Params


@dataclass(frozen=True)
class _Progress:
    step: int = 0  # steps done, which is also the place in the plan
    last: float = 0.0  # newest `dev` metric
    best: float | None = None  # best `dev` metric
    best_step: int = 0  # its step
    stale: int = 0  # evaluations since
    fit_seconds: float = 0.0  # taken by steps and by waiting for their batches; `dev` is left out
    input_wait_seconds: float = 0.0  # of them, by waiting: a faster `load` saves no more than that

    def after(self, step: int, seconds: float, waited: float) -> "_Progress":
        """One step later, which took so long from asking for its batch on."""
        return replace(
            self,
            step=step,
            fit_seconds=self.fit_seconds + seconds,
            input_wait_seconds=self.input_wait_seconds + waited,
        )


@dataclass(frozen=True)
class _Run:
    """What stays as it is from the first step to the last."""

    step: Callable[..., tuple[Params, Any, dict[str, Array]]]  # `make_train_step` made it
    steps: int  # in all, those before a resumed checkpoint included
    config: FitConfig
    evaluate: Callable[[Params], float] | None  # the `dev` metric
    saved: Checkpoints
    writer: SummaryWriter
    clock: Callable[[], float]


def fit(
    params: Params,
    loss: Loss,
    plan: Sequence[np.ndarray],
    load: Callable[[np.ndarray], Batch],
    *,
    encoder: Collection[str],
    config: FitConfig,
    seed: int,
    mesh: Mesh,
    checkpoints: Path,
    scalars: Path,
    evaluate: Callable[[Params], float] | None,
    clock: Callable[[], float] = perf_counter,
    make_step: MakeStep = make_train_step,
) -> tuple[Params, dict[str, Any]]:
    """Train over a plan of batches and return the parameters that did best on `dev`.

    Args:
        params: Where to start from.
        loss: Mean loss of a batch; pure.
        plan: Example numbers of each batch, in the order they are trained on, all epochs.
        load: Makes the batch of some examples; runs in a thread of its own, ahead of the step.
        encoder: Names of the pretrained parameters, which have a learning rate of their own.
        config: Optimiser, schedule and intervals.
        seed: Decides dropout. (The plan's order is its maker's.)
        mesh: Devices to train on.
        checkpoints: Directory of this run alone; a checkpoint in it is resumed.
        scalars: Directory for TensorBoard.
        evaluate: Higher is better; None keeps the last parameters. The next step
            overwrites what it is given.
        clock: Seconds of a clock that never goes back.
        make_step: Makes the training step.

    Returns:
        The best parameters and a report: steps, the best step and its `dev` metric, and seconds
        that the steps took, with those of them in which the loop waited for `load`.

    Raises:
        InputError: the checkpoint cannot be read, devices cannot share a batch evenly, or the loss
            is no longer finite.
    """
    ways = mesh.shape["data"]
    if len(plan[0]) % ways:
        raise InputError(f"batches of {len(plan[0])} cannot be shared evenly by {ways} devices")
    optimizer = make_optimizer(config, params, encoder, len(plan))
    saved = Checkpoints(checkpoints)
    state, progress = _begin(_placed(params, optimizer, mesh), saved, evaluate)
    dropout_seed = seed if config.dropout else None
    step_fn = make_step(loss, optimizer, dropout_seed, state.params, state.optimizer)
    if progress.step:
        logger.info("resuming behind step %d of %d", progress.step, len(plan))
    # A run that stopped early has nothing left to do, also when it is resumed.
    left = range(0) if progress.stale >= config.patience else range(progress.step, len(plan))
    batches = _batches(plan, load, left, mesh)
    with SummaryWriter(str(scalars), purge_step=progress.step) as writer:
        run = _Run(step_fn, len(plan), config, evaluate, saved, writer, clock)
        state, progress = _train(run, state, progress, batches)
    saved.close()
    return (state.params if evaluate is None else state.best), asdict(progress)


def _train(
    run: _Run, state: _State, progress: _Progress, batches: Iterator[tuple[int, Batch]]
) -> tuple[_State, _Progress]:
    """Train on batches until none is left or `dev` gets no better."""
    config = run.config
    eval_every = -(-run.steps // config.evaluations)
    values: dict[str, Array] = {}
    begun = run.clock()
    for done, batch in batches:
        step, waited = done + 1, run.clock() - begun
        params, moments, following = run.step(state.params, state.optimizer, batch, done)
        # The device has its next step before it is done with the last, and never waits for this
        # loop; no more than one, so that progress stays honest.
        jax.block_until_ready(values)
        values = following
        state = _State(params, moments, state.best)
        progress = progress.after(step, run.clock() - begun, waited)
        if step % config.log_every == 0:
            _write(run.writer, step, values)
            run.writer.add_scalar("input_wait_seconds", progress.input_wait_seconds, step)
        if run.evaluate is not None and (step % eval_every == 0 or step == run.steps):
            state, progress = _judge(state, progress, run.evaluate(params))
            run.writer.add_scalar("dev", progress.last, step)
        if step % config.checkpoint_every == 0:
            run.saved.save(step, state, asdict(progress))
        if progress.stale >= config.patience:
            logger.info("no better on dev for %d evaluations: stopping", progress.stale)
            break
        begun = run.clock()
    return state, progress


def _placed(params: Params, optimizer: optax.GradientTransformation, mesh: Mesh) -> _State:
    """Copies on the mesh: steps overwrite them in place, and the caller keeps what it gave."""
    params = _copy(jax.device_put(params, parameter_sharding(mesh, params)))
    return _State(params, replicate_rest(mesh, optimizer.init(params)), _copy(params))


def _begin(
    given: _State, saved: Checkpoints, evaluate: Callable[[Params], float] | None
) -> tuple[_State, _Progress]:
    """Where to start, in order of preference."""
    # 1. This run's own checkpoint, at its step.
    restored = saved.restore(given)
    if restored is not None:
        return restored[0], _Progress(**restored[1])
    # 2. The given parameters, pretrained or random. They are the first best: training that makes
    # nothing better gives back what it was given.
    if evaluate is None:
        return given, _Progress()
    return _judge(given, _Progress(), evaluate(given.params))


def _batches(
    plan: Sequence[np.ndarray], load: Callable[[np.ndarray], Batch], steps: range, mesh: Mesh
) -> Iterator[tuple[int, Batch]]:
    """The batches of some steps, on the mesh, made ahead of time by a thread."""
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=4)
    source = grain.MapDataset.source(plan)[steps.start : steps.stop].map(load)
    numbers = track(steps, "training", len(steps))
    for step, batch in zip(numbers, source.to_iter_dataset(options), strict=True):
        yield step, jax.device_put(batch, batch_sharding(mesh))


def _judge(state: _State, progress: _Progress, metric: float) -> tuple[_State, _Progress]:
    logger.info("step %d: dev %.4f", progress.step, metric)
    _insist_finite("the dev metric", metric, progress.step)
    progress = replace(progress, last=metric)
    if progress.best is not None and metric <= progress.best:
        return state, replace(progress, stale=progress.stale + 1)
    best = replace(progress, best=metric, best_step=progress.step, stale=0)
    return state._replace(best=_copy(state.params)), best


def _copy(params: Params) -> Params:
    return {name: jnp.copy(value) for name, value in params.items()}


def _insist_finite(what: str, value: float, step: int) -> None:
    if not math.isfinite(value):
        raise InputError(
            f"training diverged: {what} is {value} at step {step}; lower the learning rate, and "
            "delete what is unfinished under OUT/steps"
        )


def _write(writer: SummaryWriter, step: int, values: dict[str, Array]) -> None:
    _insist_finite("the loss", float(values["loss"]), step)
    for name, value in values.items():
        writer.add_scalar(name, float(value), step)
