"""Find the matrix products of a traced function."""

from collections.abc import Iterator
from typing import Any

from jax.extend.core import Jaxpr, JaxprEqn, jaxprs_in_params


def products(jaxpr: Jaxpr) -> Iterator[JaxprEqn]:
    """Return every matrix product, including those inside called functions."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from products(inner)


def input_types(product: Any) -> list[str]:
    """Return the types of the two inputs of a product."""
    return [str(operand.aval.dtype) for operand in product.invars]
