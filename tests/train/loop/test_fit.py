"""The training loop, on a tiny model: one kernel and one bias in each parameter group."""

import struct
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tensorboardX.proto.event_pb2 import Event

from base.errors import InputError
from tests.timing import Clock
from train.loop.fit import FitConfig, TrainingSetup, fit, make_optimizer, make_train_step
from train.loop.parameters import make_mesh

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
Y = X @ np.array([1.0, -2.0, 0.5], np.float32)
PLAN = [np.random.default_rng(step).permutation(40)[:8] for step in range(24)]
CONFIG = FitConfig(
    learning_rate=0.05,
    head_learning_rate=0.02,
    dropout=True,  # a resumed run must draw the same dropout masks
    evaluations=6,
    patience=99,
    checkpoint_every=5,
    log_every=3,
)


ENCODER = {"bert.kernel", "bert.bias"}


def params() -> dict[str, jax.Array]:
    return {
        "bert.kernel": jnp.ones((3, 2)),
        "bert.bias": jnp.zeros(2),
        "output.kernel": jnp.ones((2, 1)),
        "output.bias": jnp.zeros(1),
    }


def loss(params, batch, key):
    hidden = batch["x"] @ params["bert.kernel"] + params["bert.bias"][None, :]
    if key is not None:
        hidden *= 1 + 0.1 * jax.random.normal(key, hidden.shape)
    found = hidden @ params["output.kernel"] + params["output.bias"][None, :]
    return jnp.square(found[:, 0] - batch["y"]).mean(), {"largest": jnp.abs(found).max()}


def load(examples):
    return {"x": X[examples], "y": Y[examples]}


@jax.jit
def whole_loss(params):
    return loss(params, {"x": X, "y": Y}, None)[0]


def quality(params) -> float:
    return -float(whole_loss(params))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The result of a run that is not interrupted."""
    return train(tmp_path_factory.mktemp("whole"))


def train(
    tmp_path, *, plan=PLAN, config=CONFIG, evaluate=quality, start=None, loading=load, **seams
):
    setup = TrainingSetup(
        config,
        seed=3,
        mesh=make_mesh(),
        checkpoints=tmp_path / "checkpoints",
        scalars=tmp_path / "scalars",
    )
    start = start or params()
    return fit(start, loss, plan, loading, setup, encoder=ENCODER, evaluate=evaluate, **seams)


def equal(a, b) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def untimed(report: dict) -> dict:
    return {name: value for name, value in report.items() if not name.endswith("_seconds")}


def test_training_learns_and_moves_every_parameter(whole):
    found, report = whole
    assert report["step"] == 24
    assert report["best"] == pytest.approx(quality(found))
    assert quality(found) > quality(params()) / 2
    assert all(not np.array_equal(found[name], value) for name, value in params().items())


@pytest.mark.parametrize("stopped_at", [3, 17, 24])
def test_a_run_that_was_stopped_goes_on_as_if_it_never_was(tmp_path, whole, stopped_at):
    calls = []

    def dies(examples):
        if np.array_equal(examples, PLAN[stopped_at - 1]):
            raise RuntimeError("killed")
        return load(examples)

    def evaluate(params):
        calls.append(1)
        return quality(params)

    with pytest.raises(RuntimeError, match="killed"):
        train(tmp_path, loading=dies, evaluate=evaluate)
    before = len(calls)
    again, report_again = train(tmp_path, evaluate=evaluate)
    assert equal(again, whole[0])
    assert untimed(report_again) == untimed(whole[1])
    assert list((tmp_path / "scalars").iterdir())
    # Steps up to the newest checkpoint, `first`, do not run again. Without a checkpoint, the
    # initial weights are evaluated again, too.
    first = (stopped_at - 1) // CONFIG.checkpoint_every * CONFIG.checkpoint_every
    judged = [step for step in range(4, 25, 4) if step > first]
    assert len(calls) - before == len(judged) + (first == 0)


def test_a_run_that_had_reached_its_end_has_nothing_left_to_do(tmp_path, whole):
    config = replace(CONFIG, checkpoint_every=8)
    train(tmp_path, config=config)
    again, report_again = train(tmp_path, config=config, evaluate=lambda _: 1 / 0)
    assert equal(again, whole[0])
    assert untimed(report_again) == untimed(whole[1])


def damage(checkpoint: Path) -> None:
    """Cut every file of a checkpoint's state."""
    for path in (checkpoint / "state").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:10])


def interrupted(tmp_path) -> Path:
    """Train until step 18, and return the directory of the checkpoints 10 and 15."""

    def dies(examples):
        if np.array_equal(examples, PLAN[18]):
            raise RuntimeError("killed")
        return load(examples)

    with pytest.raises(RuntimeError, match="killed"):
        train(tmp_path, loading=dies)
    directory = tmp_path / "checkpoints"
    assert sorted(path.name for path in directory.iterdir()) == ["10", "15"]
    return directory


def test_a_damaged_checkpoint_costs_only_the_steps_since_the_one_before(tmp_path, whole, caplog):
    damage(interrupted(tmp_path) / "15")
    again, report = train(tmp_path)
    assert equal(again, whole[0])
    assert untimed(report) == untimed(whole[1])
    [warning] = [entry.message for entry in caplog.records if entry.levelname == "WARNING"]
    assert "checkpoints/15 cannot be read" in warning
    assert warning.endswith("continuing from step 10")


def test_if_no_checkpoint_can_be_read_the_error_names_the_directory(tmp_path):
    directory = interrupted(tmp_path)
    for name in ("10", "15"):
        damage(directory / name)
    with pytest.raises(InputError, match=r"checkpoints/15 cannot be read .*; delete .*checkpoints"):
        train(tmp_path)


def script(*metrics: float):
    """Return an evaluation that returns these metrics in turn, and the list of its parameters."""
    left, shown = list(metrics), []

    def evaluate(params) -> float:
        # Copy the parameters, because the next step overwrites them.
        shown.append(jax.tree.map(jnp.copy, params))
        return left.pop(0)

    return evaluate, shown


def test_the_parameters_that_did_best_on_dev_are_kept(tmp_path):
    evaluate, shown = script(0.2, 0.1, 0.5, 0.5, 0.4, 0.2, 0.3)
    found, report = train(tmp_path, evaluate=evaluate)
    assert equal(found, shown[2])  # the first of two equal metrics
    assert (report["best"], report["best_step"], report["step"]) == (0.5, 8, 24)
    assert report["last"] == 0.3


def test_training_stops_after_so_many_evaluations_without_a_new_best(tmp_path):
    evaluate, shown = script(0.0, 0.1, 0.5, 0.4, 0.4, 0.9)
    found, report = train(tmp_path, config=replace(CONFIG, patience=2), evaluate=evaluate)
    assert (report["step"], report["stale"], len(shown)) == (16, 2, 5)
    assert equal(found, shown[2])


def test_training_that_makes_nothing_better_gives_back_what_it_was_given(tmp_path):
    found, report = train(
        tmp_path, config=replace(CONFIG, patience=2), evaluate=script(0.5, 0.4, 0.3)[0]
    )
    assert equal(found, params())
    assert (report["best_step"], report["best"], report["step"]) == (0, 0.5, 8)


def test_a_run_that_stopped_early_does_not_start_again(tmp_path):
    config = replace(CONFIG, patience=2, checkpoint_every=1)
    found, report = train(tmp_path, config=config, evaluate=script(0.1, 0.5, 0.4, 0.4)[0])
    again, report_again = train(tmp_path, config=config, evaluate=lambda _: 1 / 0)
    assert equal(again, found)
    assert report_again == report


def slowed(of, clock: Clock, seconds: float):
    """Return a function that advances the clock and then calls `of`."""

    def slow(given):
        clock.advance(seconds)
        return of(given)

    return slow


def scalars(directory, name: str) -> dict[int, float]:
    """Return the values of a TensorBoard scalar by step."""
    [file] = directory.iterdir()
    data, at, found = file.read_bytes(), 0, {}
    # A record is a length, the length's checksum, an event, and the event's checksum.
    while at < len(data):
        (size,) = struct.unpack_from("<Q", data, at)
        event = Event.FromString(data[at + 12 : at + 12 + size])
        for value in event.summary.value:
            if value.tag == name:
                found[event.step] = value.simple_value
        at += 16 + size
    return found


@pytest.mark.parametrize("load_seconds", [0.0, 7.0])
def test_waiting_for_batches_is_told_from_everything_else(tmp_path, load_seconds):
    clock = Clock()
    # Only the first batch makes the loop wait. Later batches are loaded during steps.
    first = slowed(load, clock, load_seconds)

    def make_slow_step(*given):
        step = make_train_step(*given)

        def slow_step(*state):
            clock.advance(1.0)
            return step(*state)

        return slow_step

    def slow(examples):
        return (first if np.array_equal(examples, PLAN[0]) else load)(examples)

    evaluate = slowed(quality, clock, 100.0)
    _, report = train(
        tmp_path, loading=slow, evaluate=evaluate, clock=clock, make_step=make_slow_step
    )
    assert report["input_wait_seconds"] == load_seconds
    assert report["fit_seconds"] == load_seconds + report["step"]
    written = scalars(tmp_path / "scalars", "input_wait_seconds")
    assert written == dict.fromkeys(range(3, 25, 3), load_seconds)


def test_without_dev_queries_the_last_parameters_are_kept(tmp_path):
    evaluate, shown = script(0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
    train(tmp_path / "a", evaluate=evaluate)
    found, report = train(tmp_path / "b", evaluate=None)
    assert equal(found, shown[-1])
    assert report["best"] is None


def test_a_loss_that_is_no_longer_finite_ends_the_run(tmp_path):
    broken = {**params(), "output.bias": jnp.full(1, jnp.nan)}
    with pytest.raises(InputError, match="training diverged: the loss is nan at step 3"):
        train(tmp_path, start=broken, evaluate=None)


@pytest.mark.parametrize("option", ["epochs", "evaluations", "patience", "checkpoint_every"])
def test_intervals_of_nothing_are_refused_by_name(option):
    with pytest.raises(InputError, match=f"{option} is 0"):
        FitConfig(**{option: 0})


def test_devices_that_cannot_be_grouped_are_refused():
    with pytest.raises(InputError, match="which does not divide"):
        make_mesh(3)


def updates_of(config: FitConfig, gradients: dict, start: dict, steps: int) -> list[dict]:
    optimizer = make_optimizer(config, start, ENCODER, steps)
    state, found = optimizer.init(start), []
    for _ in range(steps):
        updates, state = optimizer.update(gradients, state, start)
        found.append(updates)
    return found


def test_rates_rise_over_the_warm_up_and_fall_to_zero():
    # With a constant gradient, the size of Adam's update is the learning rate.
    gradients = {"bert.bias": jnp.full(1, 0.01), "output.bias": jnp.full(1, 0.01)}
    start = jax.tree.map(jnp.zeros_like, gradients)
    config = FitConfig(learning_rate=1.0, head_learning_rate=10.0, warmup=0.2)
    found = updates_of(config, gradients, start, 10)
    shares = [0, 1 / 2, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]
    rates = [-float(update["bert.bias"][0]) for update in found]
    np.testing.assert_allclose(rates, shares, atol=1e-4)
    rates = [-float(update["output.bias"][0]) for update in found]
    np.testing.assert_allclose(rates, 10 * np.array(shares), atol=1e-3)


def test_only_kernels_decay():
    start = jax.tree.map(lambda x: jnp.full_like(x, 2.0), params())
    config = FitConfig(learning_rate=0.1, head_learning_rate=1.0, warmup=0.5, weight_decay=0.01)
    at_peak = updates_of(config, jax.tree.map(jnp.zeros_like, start), start, 4)[2]
    expected = {"bert.kernel": 0.1, "output.kernel": 1.0, "bert.bias": 0, "output.bias": 0}
    for name, rate in expected.items():
        np.testing.assert_allclose(at_peak[name], -rate * 0.01 * 2.0, rtol=1e-5)


def test_gradients_are_clipped_by_their_norm_over_all_parameters():
    gradients = {"bert.bias": jnp.full(1, 30.0), "output.bias": jnp.full(1, 40.0)}
    optimizer = make_optimizer(FitConfig(clip_norm=1.0), gradients, ENCODER, 10)
    _, state = optimizer.update(gradients, optimizer.init(gradients), gradients)
    moments = [leaf for leaf in jax.tree.leaves(optax.tree.get_all_with_path(state, "mu"))
               if isinstance(leaf, jax.Array)]  # fmt: skip
    # The norm 50 is clipped to 1, so the gradients become 0.6 and 0.8. Adam's first moments are a
    # tenth of that.
    assert sorted(round(float(m[0]), 4) for m in moments) == [0.06, 0.08]
