"""Orbax checkpoints: the whole state of a training run, so that a killed run resumes exactly."""

import logging
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from base.errors import InputError

logger = logging.getLogger(__name__)

STATE = "state"  # parameters, state of the optimiser, and best parameters
PROGRESS = "progress"  # step (also the position in the plan), metrics and times
_KEPT = 2  # number of checkpoints that are kept


class Checkpoints:
    """The two newest checkpoints of one run, in a directory of their own.

    Orbax renames a checkpoint into place when it is complete. If the process is killed while it
    writes a checkpoint, the previous checkpoint remains. If the newest checkpoint is damaged, the
    run continues from the other one.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()
        options = ocp.CheckpointManagerOptions(
            max_to_keep=_KEPT, cleanup_tmp_directories=True, enable_async_checkpointing=False
        )
        self._manager = ocp.CheckpointManager(self._directory, options=options)

    def save(self, step: int, state: Any, progress: dict[str, Any]) -> None:
        """Write one checkpoint to disk, and wait until it is complete."""
        arguments = ocp.args.Composite(
            **{STATE: ocp.args.StandardSave(state), PROGRESS: ocp.args.JsonSave(progress)}
        )
        self._manager.save(step, args=arguments)

    def restore(self, like: Any) -> tuple[Any, dict[str, Any]] | None:
        """Read the newest checkpoint that is not damaged; return None if there is no checkpoint.

        Damaged checkpoints are deleted, with a warning.

        Args:
            like: A state whose structure, shapes and shardings the restored state gets.

        Raises:
            InputError: no checkpoint can be read.
        """
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        arguments = ocp.args.Composite(
            **{STATE: ocp.args.StandardRestore(abstract), PROGRESS: ocp.args.JsonRestore()}
        )
        damaged = []
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                restored = self._manager.restore(step, args=arguments)
            except Exception as error:  # a damaged file raises many types of exception
                logger.debug("restoring failed", exc_info=True)
                reason = (str(error) or type(error).__name__).splitlines()[0][:200]
                damaged.append((step, f"{self._directory / str(step)} cannot be read ({reason})"))
                continue
            for later, problem in damaged:
                logger.warning("warning: the checkpoint %s; continuing from step %d", problem, step)
                self._manager.delete(later)
            return restored[STATE], restored[PROGRESS]
        if damaged:
            raise InputError(
                f"the checkpoint {damaged[0][1]}; delete {self._directory} to train from the start"
            )
        return None

    def close(self) -> None:
        """Close Orbax's manager."""
        self._manager.close()
