"""A model's parameters as a flat dictionary by name, and where they lie on a mesh of devices."""

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import jax
from flax import nnx
from jax import Array
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from base.errors import InputError
from bert.model import Bert

Params: TypeAlias = dict[str, Array]
Model = TypeVar("Model", bound=nnx.Module)


def split(model: Model) -> tuple[Callable[[Params], Model], Params]:
    """Part a model into its parameters and a pure function that puts them back.

    The function can be called under `jax.jit` and `jax.grad`.
    """
    graph, state = nnx.split(model)
    leaves = nnx.to_flat_state(state)
    paths = {".".join(map(str, path)): path for path, _ in leaves}

    def build(params: Params) -> Model:
        flat = [
            (path, leaf.replace(params[name]))
            for (name, path), (_, leaf) in zip(paths.items(), leaves, strict=True)
        ]
        return nnx.merge(graph, nnx.from_flat_state(flat))

    return build, {name: leaf[...] for name, (_, leaf) in zip(paths, leaves, strict=True)}


def encoder_parameters(model: nnx.Module) -> frozenset[str]:
    """Return the names, as `split` gives them, of the parameters inside BERT encoders."""
    names = set()
    for path, module in nnx.iter_modules(model):
        if isinstance(module, Bert):
            leaves = nnx.to_flat_state(nnx.state(module))
            names |= {".".join(map(str, (*path, *leaf))) for leaf, _ in leaves}
    return frozenset(names)


def is_kernel(name: str) -> bool:
    """Whether a parameter is the matrix of a dense layer: Flax names those `kernel`."""
    return name.endswith("kernel")


def make_mesh(model_parallel: int = 1) -> Mesh:
    """All devices as (`data`, `model`); one CPU is a 1 × 1 mesh.

    Raises:
        InputError: the devices cannot be dealt out evenly.
    """
    devices = jax.device_count()
    if model_parallel < 1 or devices % model_parallel:
        raise InputError(
            f"model_parallel is {model_parallel}: {devices} device(s) cannot be cut in such groups"
        )
    shape = (devices // model_parallel, model_parallel)
    return jax.make_mesh(shape, ("data", "model"), axis_types=(AxisType.Auto, AxisType.Auto))


def parameter_sharding(mesh: Mesh, params: Params) -> dict[str, NamedSharding]:
    """Kernels are cut along their outputs over `model`; everything else is everywhere."""
    ways = mesh.shape["model"]

    def spec(name: str, value: Array) -> PartitionSpec:
        if is_kernel(name) and value.ndim == 2 and value.shape[1] % ways == 0:
            return PartitionSpec(None, "model")
        return PartitionSpec()

    return {name: NamedSharding(mesh, spec(name, value)) for name, value in params.items()}


def replicate_rest(mesh: Mesh, tree: Any) -> Any:
    """A copy everywhere of each array that does not lie on the mesh yet, such as a counter."""
    everywhere = NamedSharding(mesh, PartitionSpec())

    def place(leaf: Array) -> Array:
        on_mesh = isinstance(leaf.sharding, NamedSharding)
        return leaf if on_mesh else jax.device_put(leaf, everywhere)

    return jax.tree.map(place, tree)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """A batch is cut along its first axis over `data`."""
    return NamedSharding(mesh, PartitionSpec("data"))
