"""Train towers and reranker on meshes of eight simulated devices.

Print how far the results on meshes of several shapes are from the results on one device.
test_mesh.py runs this program in a separate process.
"""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, Mesh

from bert.params import DEFAULT_PRETRAINED, resolve_pretrained
from bert.tokens import Tokenizer
from tests.train.examples import Example, reranker_example, towers_example
from train.loop.fit import FitConfig, make_optimizer, make_train_step
from train.loop.parameters import (
    batch_sharding,
    encoder_parameters,
    parameter_sharding,
    replicate_rest,
)

CONFIG = FitConfig(learning_rate=1e-4, head_learning_rate=1e-4, warmup=0.5, clip_norm=1e9)


def results(example: Example, mesh: Mesh) -> tuple[float, dict, dict]:
    """Return the loss and the gradients of a batch, and the parameters after an update."""
    placed = jax.device_put(example.params, parameter_sharding(mesh, example.params))
    params = jax.tree.map(jnp.copy, placed)  # copied, because a step overwrites its inputs
    batch = jax.device_put(example.load(mesh.shape["data"])(example.batch), batch_sharding(mesh))
    optimizer = make_optimizer(CONFIG, params, encoder_parameters(example.model), 4)
    moments = replicate_rest(mesh, optimizer.init(params))
    step = make_train_step(example.loss, optimizer, None, params, moments)
    # The learning rate of the first step is 0, so the second step updates with the same gradients.
    params, moments, values = step(params, moments, batch, 0)
    gradients = gradients_of(moments)
    params, *_ = step(params, moments, batch, 1)
    # The second step takes the outputs of the first one without another compilation.
    assert step._cache_size() == 1
    return float(values["loss"]), gradients, jax.device_get(params)


def gradients_of(moments: optax.OptState) -> dict:
    """Return the gradients of the first step: ten times Adam's first moments."""
    found = {}
    for _, group in optax.tree.get_all_with_path(moments, "mu"):
        found |= {name: 10 * np.asarray(m) for name, m in group.items() if isinstance(m, jax.Array)}
    return found


def largest(a: dict, b: dict, where: dict | None = None) -> float:
    """Return the largest difference of two dicts of arrays, at the elements that `where` marks."""
    return max(
        float(np.max(np.abs(a[name] - b[name]), initial=0, where=where[name] if where else True))
        for name in a
    )


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
            # Adam divides by the gradient's size. So updates of elements whose gradients are only
            # rounding errors are not compared.
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
