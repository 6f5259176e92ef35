"""`python -m train [COMMAND] [options]`; see `COMMANDS` of `train/cli/main.py`."""

import sys

from train.loop.huge_pages import restart_with_huge_pages

if __name__ == "__main__":
    restart_with_huge_pages()  # before the slow imports, which a restart repeats
    from train.cli.main import main

    sys.exit(main(sys.argv[1:]))
