"""Run tests in a process that is forked from one which has imported the libraries already."""

import multiprocessing
import os
import resource
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

# Libraries that the tests import. Their imports take longer than most tests.
LIBRARIES = (
    "beartype", "flax.nnx", "google.protobuf", "grpc", "hypothesis", "jax.numpy", "jaxtyping",
    "numpy", "optax", "orbax.checkpoint", "pyarrow.compute", "pyarrow.parquet", "pytest", "rax",
    "pytrec_eval", "safetensors.numpy", "scann", "tantivy", "tokenizers", "tyro",
)  # fmt: skip
OPTIONS = (
    "-qx",
    *("--hypothesis-seed=0", "--hypothesis-profile=mutation"),
    *("-p", "no:cacheprovider"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # for imports before pytest starts
)
CPU_SECONDS = 120  # a mutant may loop forever
WALL_SECONDS = 1_800  # a mutant may wait forever


class Runner:
    """Runs tests of a copy of the repository."""

    def __init__(self, tree: Path) -> None:
        """Run the tests in this directory."""
        self._tree = tree
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([*LIBRARIES, __name__])

    def run(self, tests: Sequence[str], *, write_bytecode: bool = False) -> int | None:
        """Run test files up to the first failure.

        Args:
            tests: The test files.
            write_bytecode: Whether Python stores compiled modules. It must not do this for a
                mutated module, because the next mutant may have the same size and time.

        Returns:
            The exit code of pytest, or None if a limit of time ended the run.
        """
        # Examples that Hypothesis found for other mutants must not decide.
        shutil.rmtree(self._tree / ".hypothesis", ignore_errors=True)
        process = self._context.Process(target=_test, args=(self._tree, tests, write_bytecode))
        process.start()
        process.join(WALL_SECONDS)
        process.kill()  # no effect on a process that has ended
        process.join()
        code = process.exitcode
        return None if code in (-signal.SIGXCPU, -signal.SIGKILL) else code


def _test(tree: Path, tests: Sequence[str], write_bytecode: bool) -> None:
    """Run tests in this process, and end it with pytest's exit code."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    os.chdir(tree)
    output = os.open(tree / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.dont_write_bytecode = not write_bytecode
    root = str(Path(__file__).parents[2])
    others = [path for path in sys.path if path not in ("", root, f"{root}/protos")]
    sys.path[:] = [str(tree), str(tree / "protos"), *others]
    import hypothesis
    import pytest

    # A failure is enough: do not look for the simplest example that fails.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutation", deadline=None, phases=phases)
    code = pytest.main([*OPTIONS, *tests])
    sys.stdout.flush()
    os._exit(code)
