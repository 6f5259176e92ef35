"""The training loop: AdamW, warm-up and decay, early stopping on `dev`, resumable at any step."""

import logging
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
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
from train.step_inputs import no_effect

logger = logging.getLogger(__name__)

# A batch: any pytree of NumPy arrays whose first axes are the examples.
Batch: TypeAlias = Any
# (params, batch, dropout key or None) -> (loss, scalars to log)
Loss: TypeAlias = Callable[[Params, Batch, Array | None], tuple[Array, dict[str, Array]]]
# (loss, optimizer, dropout seed or None, params, moments) -> the compiled step
MakeStep: TypeAlias = Callable[..., Callable[..., tuple[Params, Any, dict[str, Array]]]]


@dataclass(frozen=True)
class FitConfig:
    """Training settings of one model: the towers or the reranker."""

    learning_rate: float = 3e-5  # peak learning rate of the pretrained encoder, after warm-up
    head_learning_rate: float = 1e-3  # peak learning rate of all other parameters
    warmup: float = 0.1  # share of all steps over which the learning rates rise from 0
    weight_decay: float = 0.01  # weight decay of AdamW, applied to kernels only
    clip_norm: float = 1.0  # maximum global norm of gradients
    dropout: bool = False  # use the encoder's dropout; on CPUs, a step then takes 50% longer
    epochs: int = 1  # number of passes over the training examples
    evaluations: int = 4  # number of evaluations on `dev` in the whole run
    patience: int = 3  # evaluations without a new best metric before training stops early
    checkpoint_every: int = no_effect(200)  # steps from one checkpoint to the next
    log_every: int = no_effect(20)  # steps from one logged loss to the next

    def __post_init__(self) -> None:
        """Check that counts and intervals are at least 1."""
        for name in ("epochs", "evaluations", "patience", "checkpoint_every", "log_every"):
            if getattr(self, name) < 1:
                raise InputError(f"fit: {name} is {getattr(self, name)}; give 1 or more")


@dataclass(frozen=True)
class TrainingSetup:
    """How and where one model trains.

    Attributes:
        config: Settings of optimiser, schedule and intervals.
        seed: Seed of the training order, of dropout and of samples.
        mesh: Devices to train on.
        checkpoints: Directory of checkpoints, for this run only; training resumes from the newest.
        scalars: Directory of TensorBoard files.
    """

    config: FitConfig
    seed: int
    mesh: Mesh
    checkpoints: Path
    scalars: Path

    @property
    def devices(self) -> int:
        """Number of devices that share the examples of a batch."""
        return int(self.mesh.shape["data"])


def make_optimizer(
    config: FitConfig, params: Params, encoder: Collection[str], steps: int
) -> optax.GradientTransformation:
    """Make AdamW (Loshchilov and Hutter, 2019, arXiv 1711.05101) with clipped gradients.

    The learning rate rises linearly from 0 over the share `config.warmup` of the steps. Then it
    falls linearly to 0. Weight decay applies only to kernels.

    Args:
        config: Learning rates, weight decay and the limit of gradients.
        params: All parameters.
        encoder: Names of the parameters that train at `learning_rate`; the other parameters train
            at `head_learning_rate`.
        steps: Number of steps in the whole run.
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
    """Make a compiled step: (params, moments, batch, number) -> (params, moments, scalars).

    The step overwrites its parameters and moments in place.

    Args:
        loss: Mean loss of a batch.
        optimizer: The optimiser, see `make_optimizer`.
        seed: Seed of dropout; None for no dropout.
        params: Parameters on their devices; the step keeps this sharding.
        moments: State of the optimiser on its devices; the step keeps this sharding, too.
    """
    # Results keep the sharding of the inputs; otherwise, the second step would be compiled again.
    params_at, moments_at = jax.tree.map(lambda leaf: leaf.sharding, (params, moments))

    @partial(jax.jit, donate_argnums=(0, 1), out_shardings=(params_at, moments_at, None))
    def step(
        params: Params, moments: Any, batch: Batch, number: Int[Array, ""]
    ) -> tuple[Params, Any, dict[str, Array]]:
        key = None
        if seed is not None:
            # rbg is the only random generator that is fast on every platform.
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
    step: int = 0  # number of steps done, which is also the position in the plan
    last: float = 0.0  # newest `dev` metric
    best: float | None = None  # best `dev` metric
    best_step: int = 0  # step of the best metric
    stale: int = 0  # number of evaluations since the best metric
    fit_seconds: float = 0.0  # time of steps and of waiting for batches, without evaluations
    # time of waiting for batches; a faster `load` can save at most this time
    input_wait_seconds: float = 0.0
    losses: list[list[float]] = field(default_factory=list)  # logged losses: steps and values
    devs: list[list[float]] = field(default_factory=list)  # `dev` metrics: steps and values

    def after(self, step: int, seconds: float, waited: float) -> "_Progress":
        """Add one step that took `seconds`, including `waited` seconds of waiting for its batch."""
        return replace(
            self,
            step=step,
            fit_seconds=self.fit_seconds + seconds,
            input_wait_seconds=self.input_wait_seconds + waited,
        )


@dataclass(frozen=True)
class _Run:
    """Constants of a run."""

    step: Callable[..., tuple[Params, Any, dict[str, Array]]]  # see `make_train_step`
    steps: int  # number of all steps, including the steps before a resumed checkpoint
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
    setup: TrainingSetup,
    *,
    encoder: Collection[str],
    evaluate: Callable[[Params], float] | None,
    clock: Callable[[], float] = perf_counter,
    make_step: MakeStep = make_train_step,
) -> tuple[Params, dict[str, Any]]:
    """Train over a plan of batches, and return the parameters that are best on `dev`.

    Args:
        params: Initial parameters.
        loss: Mean loss of a batch; pure.
        plan: Example numbers of each batch of all epochs, in training order.
        load: Makes the batch of the given examples; runs in a separate thread, ahead of the steps.
        setup: Settings, devices and directories.
        encoder: Names of the parameters that train at `learning_rate`; the other parameters train
            at `head_learning_rate`.
        evaluate: Computes the `dev` metric of parameters; higher is better. It must not keep the
            parameters, because the next step overwrites them. With None, `fit` returns the last
            parameters.
        clock: Returns the seconds of a monotonic clock.
        make_step: Makes the training step.

    Returns:
        The best parameters, and a report: steps, the best step and its `dev` metric, seconds of
        training, seconds of waiting for `load`, and the curves of the loss and of the metric.

    Raises:
        InputError: the checkpoint cannot be read, a batch cannot be divided evenly among the
            devices, or the loss or metric is not finite.
    """
    if len(plan[0]) % setup.devices:
        raise InputError(
            f"batches of {len(plan[0])} cannot be shared evenly by {setup.devices} devices"
        )
    config = setup.config
    optimizer = make_optimizer(config, params, encoder, len(plan))
    saved = Checkpoints(setup.checkpoints)
    state, progress = _first_state(_place(params, optimizer, setup.mesh), saved, evaluate)
    dropout_seed = setup.seed if config.dropout else None
    step_fn = make_step(loss, optimizer, dropout_seed, state.params, state.optimizer)
    if progress.step:
        logger.info("resuming: step=%d steps=%d", progress.step, len(plan))
    # If the run had stopped early before it was resumed, no steps are left.
    steps_left = range(0) if progress.stale >= config.patience else range(progress.step, len(plan))
    batches = _batches(plan, load, steps_left, setup.mesh)
    with SummaryWriter(str(setup.scalars), purge_step=progress.step) as writer:
        run = _Run(step_fn, len(plan), config, evaluate, saved, writer, clock)
        state, progress = _train(run, state, progress, batches)
    saved.close()
    return (state.params if evaluate is None else state.best), asdict(progress)


def _train(
    run: _Run, state: _State, progress: _Progress, batches: Iterator[tuple[int, Batch]]
) -> tuple[_State, _Progress]:
    """Train on batches until none is left, or until `dev` stops improving."""
    config = run.config
    eval_every = -(-run.steps // config.evaluations)
    values: dict[str, Array] = {}
    start = run.clock()
    for done, batch in batches:
        step, waited = done + 1, run.clock() - start
        params, moments, scalars = run.step(state.params, state.optimizer, batch, done)
        # Wait for the previous step, so that at most two steps are queued. The device then never
        # waits for this loop, and the shown progress is real.
        jax.block_until_ready(values)
        values = scalars
        state = _State(params, moments, state.best)
        progress = progress.after(step, run.clock() - start, waited)
        if step % config.log_every == 0:
            _write(run.writer, step, values)
            losses = [*progress.losses, [float(step), float(values["loss"])]]
            progress = replace(progress, losses=losses)
            run.writer.add_scalar("input_wait_seconds", progress.input_wait_seconds, step)
        if run.evaluate is not None and (step % eval_every == 0 or step == run.steps):
            state, progress = _judge(state, progress, run.evaluate(params))
            run.writer.add_scalar("dev", progress.last, step)
        if step % config.checkpoint_every == 0:
            run.saved.save(step, state, asdict(progress))
        if progress.stale >= config.patience:
            logger.info("no better dev metric, stopping early: evaluations=%d", progress.stale)
            break
        start = run.clock()
    return state, progress


def _place(params: Params, optimizer: optax.GradientTransformation, mesh: Mesh) -> _State:
    """Copy the parameters to the mesh, because training steps overwrite their inputs."""
    params = _copy(jax.device_put(params, parameter_sharding(mesh, params)))
    return _State(params, replicate_rest(mesh, optimizer.init(params)), _copy(params))


def _first_state(
    initial: _State, saved: Checkpoints, evaluate: Callable[[Params], float] | None
) -> tuple[_State, _Progress]:
    """Return the state and progress to start from: a checkpoint, or else the initial parameters."""
    # 1. This run's own checkpoint. Training continues at its step.
    restored = saved.restore(initial)
    if restored is not None:
        return restored[0], _Progress(**restored[1])
    # 2. The initial parameters, pretrained or random. Their `dev` metric is the first best metric,
    # so `fit` returns them if training does not improve the metric.
    if evaluate is None:
        return initial, _Progress()
    return _judge(initial, _Progress(), evaluate(initial.params))


def _batches(
    plan: Sequence[np.ndarray], load: Callable[[np.ndarray], Batch], steps: range, mesh: Mesh
) -> Iterator[tuple[int, Batch]]:
    """Yield the batches of the given steps on the mesh; a thread makes them ahead of time."""
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=4)
    source = grain.MapDataset.source(plan)[steps.start : steps.stop].map(load)
    numbers = track(steps, "training", len(steps))
    for step, batch in zip(numbers, source.to_iter_dataset(options), strict=True):
        yield step, jax.device_put(batch, batch_sharding(mesh))


def _judge(state: _State, progress: _Progress, metric: float) -> tuple[_State, _Progress]:
    logger.info("evaluated: step=%d dev=%.4f", progress.step, metric)
    _check_finite("the dev metric", metric, progress.step)
    progress = replace(progress, last=metric, devs=[*progress.devs, [float(progress.step), metric]])
    if progress.best is not None and metric <= progress.best:
        return state, replace(progress, stale=progress.stale + 1)
    best = replace(progress, best=metric, best_step=progress.step, stale=0)
    return state._replace(best=_copy(state.params)), best


def _copy(params: Params) -> Params:
    return {name: jnp.copy(value) for name, value in params.items()}


def _check_finite(what: str, value: float, step: int) -> None:
    if not math.isfinite(value):
        raise InputError(
            f"training diverged: {what} is {value} at step {step}; lower the learning rate, and "
            "delete the unfinished directories under OUT/steps"
        )


def _write(writer: SummaryWriter, step: int, values: dict[str, Array]) -> None:
    _check_finite("the loss", float(values["loss"]), step)
    for name, value in values.items():
        writer.add_scalar(name, float(value), step)
