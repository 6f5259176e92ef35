"""Check the types and shapes in the signatures of our functions while tests run.

The import hook of jaxtyping wraps every function. Its wrapper compares the shapes of all arguments
with each other, which takes longer than most of our functions. So only functions with shapes in
their signature get this wrapper, and only their first calls are checked. The types in other
signatures are checked by beartype alone.
"""

import functools
import inspect
import itertools
from collections.abc import Callable, Sequence
from dataclasses import is_dataclass
from typing import Any, get_args, get_type_hints

import jaxtyping
from beartype import BeartypeConf, beartype

CHECKED_CALLS = 30  # calls of each function whose shapes are checked


def check_signatures(packages: Sequence[str]) -> None:
    """Check the signatures of functions and dataclasses of packages that are imported later."""
    check_shapes = jaxtyping.jaxtyped
    # Our code catches a TypeError where it reads files of others, also without these checks.
    check_types = beartype(conf=BeartypeConf(violation_type=TypeError))

    def jaxtyped(*, typechecker: Any) -> Callable[[Any], Any]:
        def decorate(decorated: Any) -> Any:
            if inspect.isclass(decorated):
                if is_dataclass(decorated):
                    decorated.__init__ = decorate(decorated.__init__)
                return decorated
            if _has_shapes(decorated):
                return first_calls(check_shapes(decorated, typechecker=typechecker), decorated)
            return check_types(decorated)

        return decorate

    jaxtyping.jaxtyped = jaxtyped  # the hook adds the decorator of this name
    jaxtyping.install_import_hook(packages, "beartype.beartype")


def first_calls(checked: Callable[..., Any], plain: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that is `checked` in its first calls, and then `plain`."""
    calls = itertools.count()

    @functools.wraps(plain)
    def call(*arguments: Any, **options: Any) -> Any:
        function = checked if next(calls) < CHECKED_CALLS else plain
        return function(*arguments, **options)

    vars(call)["checked"] = checked  # for tests of the checks
    return call


def _has_shapes(function: Callable[..., Any]) -> bool:
    try:
        return any(map(_is_shape, get_type_hints(function).values()))
    except (NameError, AttributeError):  # a name is defined later, or only for mypy
        return True


def _is_shape(hint: Any) -> bool:
    if inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(map(_is_shape, get_args(hint)))
