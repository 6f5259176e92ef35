import jax
import jax.numpy as jnp

from bert.compilation_cache import enable_compilation_cache
from bert.compiled import BucketedForward


def test_compiled_programs_are_kept_on_disk(without_cache, tmp_path):
    # At its first compilation, JAX decides that it has no cache.
    jax.jit(lambda x: x + 1)(jnp.ones(3))
    enable_compilation_cache(tmp_path / "cache")
    forward = BucketedForward(
        lambda state, tokens: tokens.ids + state, jnp.asarray(1), max_length=16
    )
    forward.warm_up()
    assert len(list((tmp_path / "cache").glob("*/*call*"))) >= 3


def test_programs_of_another_processor_are_not_found(without_cache, tmp_path):
    enable_compilation_cache(tmp_path)
    here = jax.config.jax_compilation_cache_dir
    enable_compilation_cache(tmp_path, flags=lambda: frozenset({"of_another"}))
    assert jax.config.jax_compilation_cache_dir != here


def test_a_moved_cache_still_works(without_cache, tmp_path):
    def compile_once():
        return jax.jit(lambda x: jnp.tanh(x @ x.T).sum())(jnp.ones((3, 5)))

    enable_compilation_cache(tmp_path / "here")
    compile_once()
    kept = {path.name for path in (tmp_path / "here").rglob("*")}
    (tmp_path / "here").rename(tmp_path / "there")
    enable_compilation_cache(tmp_path / "there")
    compile_once()
    assert {path.name for path in (tmp_path / "there").rglob("*")} == kept
    assert len(kept) > 1
