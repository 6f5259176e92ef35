"""The input type of matrix products: float32 or bfloat16, whichever is faster on this machine.

On a CPU, the choice is measured, because bfloat16 instructions are not always fast. Intel's server
cores without AMX multiply bfloat16 at half the rate of float32. AMD's server cores multiply
bfloat16 at nearly twice the rate of float32. The choice is stored with the compiled programs. If
every process measured anew, a process on a busy machine could choose the other type, and would have
to compile every program again.
"""

import functools
import json
import logging
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
import numpy as np

from base.atomic_files import write_text
from base.errors import InputError

logger = logging.getLogger(__name__)

_SHAPE = (512, 384, 1536)  # rows, inputs and outputs of the timed product, as in MiniLM's MLP
_REPEATS = 32  # timed runs of each type, in turn; only the fastest run of each counts
Dtype: TypeAlias = Literal["float32", "bfloat16"]
# bfloat16 loses precision, so it must be clearly faster. The margin also protects the choice from
# noise in the measurement.
_LEAST_SPEEDUP = 1.25
# Processor flags for bfloat16 units: the first two are x86 flags, and the third is an Arm flag.
_BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})


@dataclass(frozen=True)
class Numerics:
    """The input type of matrix products, and why it was chosen."""

    dtype: Dtype  # input type; products accumulate in float32
    why: str  # reason for the choice, for logs and reports

    def __post_init__(self) -> None:
        """Check the input type.

        Raises:
            InputError: there is no such input type.
        """
        if self.dtype not in get_args(Dtype):
            raise InputError(f"numerics: dtype {self.dtype!r} is neither float32 nor bfloat16")

    def write(self, path: Path) -> None:
        """Write the choice to a file, atomically."""
        write_text(path, json.dumps(asdict(self)) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Numerics":
        """Read a choice that `write` wrote.

        Raises:
            InputError: the file is damaged.
        """
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, InputError) as error:
            raise InputError(f"{path} cannot be read ({error}); delete it") from error

    @property
    def input_dtype(self) -> np.dtype[Any]:
        """The input type as a NumPy dtype."""
        return jnp.dtype(self.dtype)


def product_rates() -> dict[str, float]:
    """Measure the rate of a dense product in each input type, in floating-point operations/s."""
    rows, inputs, outputs = _SHAPE
    products = {name: _product(name) for name in ("float32", "bfloat16")}
    seconds = dict.fromkeys(products, float("inf"))
    for product in products.values():
        product()
    for _ in range(_REPEATS):
        for name, product in products.items():
            start = time.perf_counter()
            product()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return {name: 2 * rows * inputs * outputs / taken for name, taken in seconds.items()}


def _product(dtype: str) -> Callable[[], Any]:
    """Return a function that computes one product, in the same way as a dense layer."""
    rows, inputs, outputs = _SHAPE
    x = jnp.ones((rows, inputs), jnp.float32)
    kernel = jnp.ones((inputs, outputs), dtype)

    @jax.jit
    def multiply(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return jax.lax.dot(x.astype(dtype), kernel, preferred_element_type=jnp.float32)

    return lambda: multiply(x, kernel).block_until_ready()


def cpu_flags() -> frozenset[str]:
    """Return the names that Linux gives the processor's features; empty on other systems."""
    cpuinfo = Path("/proc/cpuinfo")
    if platform.system() != "Linux" or not cpuinfo.is_file():
        return frozenset()
    for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() in ("flags", "features"):
            return frozenset(value.split())
    return frozenset()


def choose_numerics(
    requested: Literal["auto", "float32", "bfloat16"] = "auto",
    *,
    flags: Callable[[], frozenset[str]] = cpu_flags,
    rates: Callable[[], Mapping[str, float]] = product_rates,
) -> Numerics:
    """Choose the input type of matrix products.

    `auto` chooses bfloat16 on an accelerator with bfloat16 units. On a CPU with such units, it
    measures both types for some tenths of a second, and chooses bfloat16 if bfloat16 is at least a
    quarter faster. In all other cases, `auto` chooses float32. The process remembers a measured
    choice. If JAX has a compilation cache, a file in its directory keeps the choice for later
    processes.

    Args:
        requested: `auto`, or the type to use.
        flags: Reads the processor's features.
        rates: Measures the rate of products in each type.
    """
    if requested != "auto":
        return Numerics(requested, "requested")
    device = jax.devices()[0]
    if device.platform == "cpu":
        if not _BFLOAT16_FLAGS & flags():
            return _WITHOUT_UNITS
        cache = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]  # made at run time
        return _measured(cache, rates)
    if device.platform == "gpu" and float(getattr(device, "compute_capability", "8.0")) < 8:
        return Numerics("float32", f"{device.device_kind} has no bfloat16 units")
    return Numerics("bfloat16", f"{device.device_kind} has bfloat16 units")


_WITHOUT_UNITS = Numerics("float32", "the CPU reports no bfloat16 units")


@functools.cache
def _measured(cache: str | None, rates: Callable[[], Mapping[str, float]]) -> Numerics:
    """Return the choice stored in a compilation cache; measure if none is stored."""
    path = None if cache is None else Path(cache) / "numerics.json"
    if path is not None and path.is_file():
        try:
            return Numerics.read(path)
        except InputError as error:
            logger.warning("product rates are measured again: reason=%r", str(error))
    measured = _measure(rates())
    if path is not None:
        try:
            measured.write(path)
        except OSError as error:
            logger.warning("numerics not kept for the next start: reason=%r", str(error))
    return measured


def _measure(rates: Mapping[str, float]) -> Numerics:
    dtype: Dtype = (
        "bfloat16" if rates["bfloat16"] >= _LEAST_SPEEDUP * rates["float32"] else "float32"
    )
    measured = " and ".join(f"{name} at {rate / 1e9:.0f}" for name, rate in rates.items())
    return Numerics(dtype, f"the CPU multiplies {measured} GFLOP/s")
