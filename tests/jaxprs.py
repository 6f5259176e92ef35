"""What a traced function computes."""

from collections.abc import Iterator
from typing import Any

from jax.extend.core import Jaxpr, JaxprEqn, jaxprs_in_params


def products(jaxpr: Jaxpr) -> Iterator[JaxprEqn]:
    """Every matrix product, the ones inside called functions included."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from products(inner)


def input_types(product: Any) -> list[str]:
    """The types of what a product multiplies."""
    return [str(operand.aval.dtype) for operand in product.invars]
