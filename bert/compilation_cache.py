"""The cache of compiled programs: a directory that later processes read."""

import hashlib
import platform
from collections import Counter
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache

from bert.numerics import cpu_flags

# The cache events of JAX, and the origin of the program that each event reports.
_CACHE_EVENTS = {
    "/jax/compilation_cache/cache_hits": "read",
    "/jax/compilation_cache/cache_misses": "compiled",
}
_counted: Counter[str] = Counter()  # number of programs, by origin


def enable_compilation_cache(
    directory: Path | None, *, flags: Callable[[], frozenset[str]] = cpu_flags
) -> None:
    """Keep compiled programs in a directory, for this process and later ones.

    Each combination of processor type and jaxlib version has its own folder. Several machines can
    therefore share a disk: none of them reads code with instructions that its processor lacks.

    Args:
        directory: Created if it does not exist; None switches the cache off.
        flags: Reads the processor's features.
    """
    if directory is not None:
        directory = directory / _machine(flags())
        directory.mkdir(parents=True, exist_ok=True)
    if not _counted:
        jax.monitoring.register_event_listener(_count)
        _counted.update(read=0, compiled=0)
    settings = {
        "jax_compilation_cache_dir": None if directory is None else str(directory),
        # Even small programs take longer to compile than to read.
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": 0,
        # Switch XLA's own caches off: their keys contain the path of the directory, so they would
        # be useless in a moved directory.
        "jax_persistent_cache_enable_xla_caches": "none",
    }
    for name, value in settings.items():
        jax.config.update(name, value)
    # JAX decides at its first compilation whether it has a cache. Make it decide again.
    compilation_cache.reset_cache()


def cached_programs() -> Mapping[str, int]:
    """Count this process's programs by their origin: "read" from the cache, or "compiled".

    The result is empty before `enable_compilation_cache`. Without a directory, the counts stay 0.
    """
    return dict(_counted)


def _count(event: str, **_: Any) -> None:
    if event in _CACHE_EVENTS:
        _counted[_CACHE_EVENTS[event]] += 1


def _machine(flags: frozenset[str]) -> str:
    """Hash the facts that compiled programs depend on, but that JAX's cache keys do not contain."""
    facts = [platform.machine(), version("jaxlib"), *sorted(flags)]
    return hashlib.sha256(" ".join(facts).encode()).hexdigest()[:16]
