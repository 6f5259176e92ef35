"""Write the tiny bundle of the tests to a directory: `python -m tests.write_tiny_bundle DIR`."""

import sys
from pathlib import Path

from bert.numerics import choose_numerics
from tests import tiny

if __name__ == "__main__":
    tiny.write_bundle(Path(sys.argv[1]), tiny.tiny_items(), choose_numerics())
