"""The demo store: a generated shop in the dataset format, with known ground truth.

`write_demo_store` is deterministic by seed. The docstrings of `products`, `queries`, `judgments`
and `behaviour` tell how each part is generated; `vocabulary` and `departments` hold the words.
"""

from demo.write import DemoConfig, write_demo_store

__all__ = ["DemoConfig", "write_demo_store"]
