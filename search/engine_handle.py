"""A handle of the engine in use, which can be replaced between two requests."""

from search.engine import Engine


class EngineHandle:
    """Holds the engine in use. A request reads `engine` once and uses that engine to its end."""

    def __init__(self, engine: Engine) -> None:
        """Start with an engine."""
        self._engine = engine

    @property
    def engine(self) -> Engine:
        """The engine for a request that begins now."""
        return self._engine

    def swap(self, engine: Engine) -> Engine:
        """Replace the engine; return the old engine, which running requests may still use."""
        before, self._engine = self._engine, engine
        return before
