"""Mutation testing: `python -m tests.mutation [MODULE …]` scores how many mutants the tests kill.

Cosmic Ray (`pip install cosmic-ray==8.7.0`) changes one operator, number or condition of a module.
The tests of `modules.toml` kill this mutant if one of them fails. The score is the share of killed
mutants in a fixed sample of 100, without the mutants of `equivalent.toml`.

A run can be stopped at any time, because it works on a copy of the repository. The next run tests
the mutants that have no outcome yet, and again those that survived.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.mutation.runner import Runner
from tests.mutation.sessions import Module, Mutant, Outcome, Session, equivalent_mutants

ROOT = Path(__file__).parents[2]
OUT = ROOT / "out" / "mutation"  # the sessions, and the copy of the repository
GOAL = 0.9  # the lowest score that passes


def main() -> int:
    """Run the sessions of the given modules, and print their scores and survivors."""
    modules = Module.all()
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(modules)}")
    names = parser.parse_args().modules or list(modules)
    if unknown := set(names) - set(modules):
        parser.error(f"modules.toml has no module {', '.join(sorted(unknown))}")
    tree, equivalent, passed = OUT / "tree", equivalent_mutants(), True
    copy_repository(tree)
    # Tests of losses compile the same programs again and again.
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(OUT / "compiled")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    runner = Runner(tree)
    for name in names:
        if runner.run(modules[name].tests, write_bytecode=True) != 0:
            print((tree / "output.txt").read_text(), f"{name}: the tests fail without a mutant")
            return 2
        session = Session.open(modules[name], tree, OUT)
        for outcome in session.run(runner, equivalent):
            print(f"{name}: tests {outcome.how}: {outcome.mutant.mutated}", flush=True)
        passed &= report(name, session.outcomes(), equivalent)
    return 0 if passed else 1


def copy_repository(tree: Path) -> None:
    """Copy all files that git does not ignore."""
    shutil.rmtree(tree, ignore_errors=True)
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in listing.split("\0"):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)


def report(name: str, outcomes: Sequence[Outcome], equivalent: set[Mutant]) -> bool:
    """Print the score of a module and its survivors; return whether the score passes."""
    scored = [outcome for outcome in outcomes if outcome.mutant not in equivalent]
    killed = sum(outcome.is_killed for outcome in scored)
    late = sum(outcome.how == "out of time" for outcome in scored)
    print(
        f"{name}: killed {killed} of {len(scored)} mutants ({killed / len(scored):.0%}), of these "
        f"{late} by a limit of time; left out {len(outcomes) - len(scored)} equivalent mutants"
    )
    for outcome in sorted(outcomes, key=lambda outcome: outcome.mutant):
        mutant = outcome.mutant
        if mutant in equivalent and outcome.is_killed:
            print(f"  not equivalent, because a test fails: {mutant.mutated}")
        if mutant not in equivalent and not outcome.is_killed:
            print(f"  survived in {mutant.file}: {mutant.line}\n    as {mutant.mutated}")
    return killed >= GOAL * len(scored)


if __name__ == "__main__":
    sys.exit(main())
