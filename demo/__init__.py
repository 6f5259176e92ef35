"""The demo store: a generated shop in the dataset format, with the truth behind it known.

`write_demo_store` is deterministic by seed. `products`, `queries`, `judgments` and `behaviour` say
in their docstrings how each part comes about; `vocabulary` and `departments` are its words.
"""

from demo.write import DemoConfig, write_demo_store

__all__ = ["DemoConfig", "write_demo_store"]
