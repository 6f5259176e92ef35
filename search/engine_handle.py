"""Which engine answers: one now, perhaps another for the next request."""

from search.engine import Engine


class EngineHandle:
    """Holds the engine that answers. A request takes it once and stays with it to its end."""

    def __init__(self, engine: Engine) -> None:
        """Begin with an engine."""
        self._engine = engine

    @property
    def engine(self) -> Engine:
        """The engine for a request that begins now."""
        return self._engine

    def swap(self, engine: Engine) -> Engine:
        """Let another engine answer from now on; returns the one before, which may be in use."""
        before, self._engine = self._engine, engine
        return before
