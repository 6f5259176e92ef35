import jax.numpy as jnp
import pytest

from base.errors import InputError
from bert.compilation_cache import enable_compilation_cache
from bert.numerics import Numerics, choose_numerics, product_rates

pytestmark = pytest.mark.usefixtures("without_cache")


def choose(*flags: str, **rates: float) -> Numerics:
    """Choose as a new process does on a CPU with these flags and product rates."""
    return choose_numerics("auto", flags=lambda: frozenset(flags), rates=lambda: rates)


@pytest.mark.parametrize("flag", ["avx512_bf16", "amx_bf16", "bf16"])
@pytest.mark.parametrize(
    ("bfloat16", "dtype"), [(330e9, "bfloat16"), (155e9, "float32"), (200e9, "float32")]
)
def test_a_cpu_with_bfloat16_units_uses_them_where_they_are_faster(flag, bfloat16, dtype):
    chosen = choose("avx2", flag, float32=190e9, bfloat16=bfloat16)
    assert chosen.dtype == dtype
    assert chosen.input_dtype == jnp.dtype(dtype)
    assert f"float32 at 190 and bfloat16 at {bfloat16 / 1e9:.0f} GFLOP/s" in chosen.why


def test_the_choice_is_made_once_a_process():
    results = iter([{"float32": 1e9, "bfloat16": 2e9}, {"float32": 2e9, "bfloat16": 1e9}])

    def rates():
        return next(results)

    first, second = (
        choose_numerics("auto", flags=lambda: frozenset({"avx512_bf16"}), rates=rates)
        for _ in range(2)
    )
    assert second is first


def test_the_measured_choice_is_kept_with_the_compiled_programs(tmp_path):
    enable_compilation_cache(tmp_path)
    first = choose("avx512_bf16", float32=1e9, bfloat16=2e9)
    assert first.dtype == "bfloat16"
    # A later process reuses the stored choice, even on a busy machine.
    assert choose("avx512_bf16", float32=2e9, bfloat16=1e9) == first
    (kept,) = tmp_path.glob("*/numerics.json")
    kept.write_text("{")
    again = choose("avx512_bf16", float32=2e9, bfloat16=1e9)
    assert again.dtype == Numerics.read(kept).dtype == "float32"
    enable_compilation_cache(None)
    assert choose("avx512_bf16", float32=1e9, bfloat16=2e9).dtype == "bfloat16"


def test_a_cpu_without_bfloat16_units_is_not_measured():
    chosen = choose_numerics(
        "auto",
        flags=lambda: frozenset({"avx2", "avx512f"}),
        rates=lambda: pytest.fail("measured"),
    )
    assert (chosen.dtype, chosen.why) == ("float32", "the CPU reports no bfloat16 units")


def test_both_rates_are_measured():
    rates = product_rates()
    assert rates.keys() == {"float32", "bfloat16"}
    assert min(rates.values()) > 1e8  # any machine reaches 100 million operations/s


def test_requested_numerics_are_used():
    for dtype in ("float32", "bfloat16"):
        chosen = choose_numerics(dtype)
        assert (chosen.dtype, chosen.why) == (dtype, "requested")


def test_an_unknown_input_type_is_refused():
    numerics = Numerics("float32", "tests")
    object.__setattr__(numerics, "dtype", "float8")  # past the checks of types of the tests
    with pytest.raises(InputError, match="'float8' is neither float32 nor bfloat16"):
        numerics.__post_init__()


def test_a_written_choice_is_read_back(tmp_path):
    file = tmp_path / "numerics.json"
    Numerics("bfloat16", "tests").write(file)
    assert Numerics.read(file) == Numerics("bfloat16", "tests")
    for content in ("{", "[]", '{"dtype": "float8", "why": ""}', '{"dtype": "float32"}'):
        file.write_text(content)
        with pytest.raises(InputError, match=r"(?s)numerics\.json cannot be read .* delete it"):
            Numerics.read(file)
