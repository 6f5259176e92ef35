import jax
import jax.numpy as jnp
import pytest
from jax.experimental.compilation_cache import compilation_cache

from base.errors import InputError
from bert import numerics
from bert.compiled import enable_compilation_cache
from bert.numerics import Numerics, choose_numerics, product_rates


@pytest.fixture
def machine(monkeypatch):
    """Pretends to run on a CPU with the given flags and rates of products, and without a cache."""
    cache = jax.config.jax_compilation_cache_dir
    enable_compilation_cache(None)

    def pretend(flags, **rates):
        numerics._measured.cache_clear()
        monkeypatch.setattr(numerics, "cpu_flags", lambda: frozenset(flags))
        monkeypatch.setattr(numerics, "product_rates", lambda: rates)

    yield pretend
    numerics._measured.cache_clear()
    jax.config.update("jax_compilation_cache_dir", cache)
    compilation_cache.reset_cache()


@pytest.mark.parametrize("flag", ["avx512_bf16", "amx_bf16", "bf16"])
@pytest.mark.parametrize(
    ("bfloat16", "dtype"), [(330e9, "bfloat16"), (155e9, "float32"), (200e9, "float32")]
)
def test_a_cpu_with_bfloat16_units_uses_them_where_they_are_faster(machine, flag, bfloat16, dtype):
    machine({"avx2", flag}, float32=190e9, bfloat16=bfloat16)
    chosen = choose_numerics("auto")
    assert chosen.dtype == dtype
    assert chosen.input_dtype == jnp.dtype(dtype)
    assert f"float32 at 190 and bfloat16 at {bfloat16 / 1e9:.0f} GFLOP/s" in chosen.why


def test_the_choice_is_made_once_a_process(machine, monkeypatch):
    machine({"avx512_bf16"}, float32=1e9, bfloat16=2e9)
    first = choose_numerics("auto")
    monkeypatch.setattr(numerics, "product_rates", lambda: {"float32": 2e9, "bfloat16": 1e9})
    assert choose_numerics("auto") is first


def test_what_was_measured_is_kept_with_the_compiled_programs(machine, tmp_path):
    enable_compilation_cache(tmp_path)
    machine({"avx512_bf16"}, float32=1e9, bfloat16=2e9)
    first = choose_numerics("auto")
    assert first.dtype == "bfloat16"
    machine({"avx512_bf16"}, float32=2e9, bfloat16=1e9)  # a later process, on a busy machine
    assert choose_numerics("auto") == first
    (kept,) = tmp_path.glob("*/numerics.json")
    kept.write_text("{")
    machine({"avx512_bf16"}, float32=2e9, bfloat16=1e9)
    assert choose_numerics("auto").dtype == Numerics.read(kept).dtype == "float32"
    enable_compilation_cache(None)
    machine({"avx512_bf16"}, float32=1e9, bfloat16=2e9)
    assert choose_numerics("auto").dtype == "bfloat16"


def test_a_cpu_without_bfloat16_units_is_not_measured(machine, monkeypatch):
    machine({"avx2", "avx512f"})
    monkeypatch.setattr(numerics, "product_rates", lambda: pytest.fail("measured"))
    chosen = choose_numerics("auto")
    assert (chosen.dtype, chosen.why) == ("float32", "the CPU reports no bfloat16 units")


def test_both_rates_are_measured():
    rates = product_rates()
    assert rates.keys() == {"float32", "bfloat16"}
    assert min(rates.values()) > 1e8  # a hundred million operations a second: any machine does


def test_requested_numerics_are_taken():
    for dtype in ("float32", "bfloat16"):
        chosen = choose_numerics(dtype)
        assert (chosen.dtype, chosen.why) == (dtype, "requested")


def test_a_choice_that_was_written_down_is_read_back(tmp_path):
    file = tmp_path / "numerics.json"
    Numerics("bfloat16", "tests").write(file)
    assert Numerics.read(file) == Numerics("bfloat16", "tests")
    for content in ("{", "[]", '{"dtype": "float8", "why": ""}', '{"dtype": "float32"}'):
        file.write_text(content)
        with pytest.raises(InputError, match=r"(?s)numerics\.json cannot be read .* delete it"):
            Numerics.read(file)
