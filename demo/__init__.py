"""The demo store: a generated shop in the dataset format, with known ground truth.

With the same seed, `write_demo_store` writes the same store. The docstrings of `products`,
`queries`, `judgments` and `behaviour` say how each part is generated. `vocabulary` and
`departments` contain the words.
"""

from demo.write import DemoConfig, DemoStore, write_demo_store

__all__ = ["DemoConfig", "DemoStore", "write_demo_store"]
