"""Run by test_mesh.py in a process of its own that simulates eight devices.

Trains both stages on meshes of several shapes and prints how far they are from a single device.
"""

import json
import sys
import tempfile
from pathlib import Path

import jax
import numpy as np
from jax.sharding import AxisType, Mesh

from bert.params import DEFAULT_PRETRAINED, resolve_pretrained
from bert.tokens import Tokenizer
from tests.train.examples import Example, reranker_example, towers_example
from train.fit import FitConfig, fit
from train.parameters import batch_sharding, parameter_sharding

# The first step has the rate 0, so the second is one update at the gradient that is compared.
CONFIG = FitConfig(learning_rate=1e-4, head_learning_rate=1e-4, warmup=0.5, checkpoint_every=1)


def results(example: Example, mesh: Mesh) -> tuple[float, dict, dict]:
    """Loss and gradients of a batch, and the parameters after an update."""
    load = example.load(mesh.shape["data"])
    params = jax.device_put(example.params, parameter_sharding(mesh, example.params))
    batch = jax.device_put(load(example.batch), batch_sharding(mesh))
    step = jax.jit(jax.value_and_grad(example.loss, has_aux=True))
    (loss, _), gradients = step(params, batch, None)
    with tempfile.TemporaryDirectory() as directory:
        trained, _ = fit(
            example.params, example.loss, [example.batch] * 2, load, config=CONFIG, seed=0,
            mesh=mesh, checkpoints=Path(directory) / "c", scalars=Path(directory) / "s",
            evaluate=None,
        )  # fmt: skip
    return float(loss), jax.device_get(gradients), jax.device_get(trained)


def largest(a: dict, b: dict, where: dict | None = None) -> float:
    chosen = {name: True if where is None else where[name] for name in a}
    return max(float(np.max(np.abs(a[n] - b[n]), initial=0, where=chosen[n])) for n in a)


def main() -> None:
    devices = jax.devices()
    assert len(devices) == 8
    tokenizer = Tokenizer.from_directory(resolve_pretrained(DEFAULT_PRETRAINED))
    report = {}
    for name, example in (
        ("towers", towers_example(tokenizer)),
        ("reranker", reranker_example(tokenizer)),
    ):
        alone = None
        for shape in ((1, 1), (8, 1), (4, 2)):
            chosen = devices[: shape[0] * shape[1]]
            mesh = jax.make_mesh(
                shape, ("data", "model"), axis_types=(AxisType.Auto,) * 2, devices=chosen
            )
            found = results(example, mesh)
            alone = alone or found
            # Adam divides by the gradient: where that is rounding alone, so is the update.
            steep = {name: np.abs(gradient) > 1e-4 for name, gradient in alone[1].items()}
            report[f"{name} {shape[0]}x{shape[1]}"] = {
                "loss": abs(found[0] - alone[0]),
                "gradients": largest(found[1], alone[1]),
                "parameters": largest(found[2], alone[2], steep),
                "moved": largest(found[2], example.params),
            }
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
