"""A model's parameters as a flat dictionary by name, and their sharding on a mesh of devices."""

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
    """Split a model into its parameters and a pure function that rebuilds it from parameters.

    The function works under `jax.jit` and `jax.grad`.
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
    """Return the names of all parameters inside BERT encoders, as `split` names them."""
    names = set()
    for path, module in nnx.iter_modules(model):
        if isinstance(module, Bert):
            leaves = nnx.to_flat_state(nnx.state(module))
            names |= {".".join(map(str, (*path, *leaf))) for leaf, _ in leaves}
    return frozenset(names)


def is_kernel(name: str) -> bool:
    """Return whether a parameter is the matrix of a dense layer, which Flax names `kernel`."""
    return name.endswith("kernel")


def make_mesh(model_parallel: int = 1) -> Mesh:
    """Make a mesh (`data`, `model`) of all devices; one CPU is a 1 × 1 mesh.

    Raises:
        InputError: the number of devices is not a multiple of `model_parallel`.
    """
    devices = jax.device_count()
    if model_parallel < 1 or devices % model_parallel:
        raise InputError(
            f"model_parallel is {model_parallel}, which does not divide {devices} device(s)"
        )
    shape = (devices // model_parallel, model_parallel)
    return jax.make_mesh(shape, ("data", "model"), axis_types=(AxisType.Auto, AxisType.Auto))


def parameter_sharding(mesh: Mesh, params: Params) -> dict[str, NamedSharding]:
    """Shard kernels along their outputs over `model`; replicate everything else."""
    devices = mesh.shape["model"]

    def spec(name: str, value: Array) -> PartitionSpec:
        if is_kernel(name) and value.ndim == 2 and value.shape[1] % devices == 0:
            return PartitionSpec(None, "model")
        return PartitionSpec()

    return {name: NamedSharding(mesh, spec(name, value)) for name, value in params.items()}


def replicate_rest(mesh: Mesh, tree: Any) -> Any:
    """Replicate each array that is not on the mesh yet, such as a counter."""
    replicated = NamedSharding(mesh, PartitionSpec())

    def place(leaf: Array) -> Array:
        on_mesh = isinstance(leaf.sharding, NamedSharding)
        return leaf if on_mesh else jax.device_put(leaf, replicated)

    return jax.tree.map(place, tree)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Shard batches along their first axis over `data`."""
    return NamedSharding(mesh, PartitionSpec("data"))
