"""Which settings of a training step decide its result."""

from dataclasses import asdict, field, fields, is_dataclass
from typing import Any, TypeVar

_NO_EFFECT = "no effect on the result"

T = TypeVar("T")


def no_effect(default: T) -> T:
    """Make a field of a configuration that has no effect on the result of a step.

    A step that is done stays up to date if only such fields change, and an unfinished step goes on
    from its checkpoint.
    """
    marked: T = field(default=default, metadata={_NO_EFFECT: True})
    return marked


def deciding(config: Any) -> dict[str, Any]:
    """Return the fields of a dataclass that decide the result of a step, as JSON values."""
    values = asdict(config)
    for each in fields(config):
        value = getattr(config, each.name)
        if _NO_EFFECT in each.metadata:
            del values[each.name]
        elif is_dataclass(value):
            values[each.name] = deciding(value)
    return values
