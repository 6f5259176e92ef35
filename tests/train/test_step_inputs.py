from dataclasses import dataclass, field

from train.step_inputs import deciding, no_effect


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5
    log_every: int = no_effect(20)


@dataclass(frozen=True)
class Outer:
    name: str = "a"
    inner: Inner = field(default_factory=Inner)
    verbose: bool = no_effect(default=False)


def test_fields_without_effect_decide_nothing_at_any_depth():
    assert deciding(Outer()) == {"name": "a", "inner": {"rate": 0.5}}
    assert deciding(Outer(inner=Inner(log_every=1), verbose=True)) == deciding(Outer())
    assert deciding(Outer(inner=Inner(rate=1.0))) != deciding(Outer())
    assert Outer().inner.log_every == 20
