"""The vocabulary of the demo shop, one module per department."""

from collections.abc import Mapping

from demo.departments import (
    beauty,
    electronics,
    family,
    fashion,
    furniture,
    garden,
    kitchen,
    sports,
)
from demo.vocabulary import Department, Leaf

DEPARTMENTS: tuple[Department, ...] = (
    kitchen.DEPARTMENT,
    furniture.DEPARTMENT,
    electronics.DEPARTMENT,
    sports.DEPARTMENT,
    fashion.DEPARTMENT,
    beauty.DEPARTMENT,
    garden.DEPARTMENT,
    family.DEPARTMENT,
)

# The leaf categories by name, in the order of the departments' tables.
LEAVES: Mapping[str, Leaf] = {
    leaf.name: leaf for department in DEPARTMENTS for leaf in department.leaves
}
