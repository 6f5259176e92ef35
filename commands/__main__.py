"""Command line: `python -m commands`, the same as the console command `shortlist`."""

import sys

from commands.main import main

if __name__ == "__main__":
    sys.exit(main())
