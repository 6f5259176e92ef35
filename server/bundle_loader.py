"""Load bundles while the server runs, swap them in, and roll back.

A running call keeps the engine that it began with. After a swap, only these calls refer to the old
engine, and the end of the last of these calls frees the engine. A reference cycle would keep the
engine in memory, so code that runs in a call must leave no reference cycles.
"""

import asyncio
import logging
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from base.error_logging import log_error, operator_text
from base.errors import InputError, RequestError
from base.memory import give_back_memory
from search.bundle import Manifest
from search.engine import Engine
from search.engine_handle import EngineHandle
from search.errors import DeadlineExceededError
from search.runtime.batching import CallContext, call_scope, current_context
from server.worker_pool import StoppingError

logger = logging.getLogger(__name__)

# Linux's limit on the length of a path. Longer paths are refused: resolving a path blocks the event
# loop, and the time grows with the square of the length.
_MAX_PATH_CHARACTERS = 4096


class BundleRefusedError(Exception):
    """A bundle cannot serve; the current bundle continues to serve."""


class LoadUnderWayError(Exception):
    """Another bundle is being loaded."""


class NothingToRollBackToError(Exception):
    """There is no previous bundle, or the server has already rolled back to it."""


@dataclass(frozen=True)
class BundleRecord:
    """A bundle that serves or has served.

    Attributes:
        path: The bundle's directory, without symbolic links.
        deployed: The manifest in the directory `path`.
        manifest: The manifest of the engine's bundle. It is `deployed`, or the manifest of a bundle
            that was compacted from the bundle in `path`.
        since: When the bundle began to serve.
    """

    path: Path
    deployed: Manifest
    manifest: Manifest
    since: datetime


@dataclass(frozen=True)
class LoadInProgress:
    """A load in progress: the directory of the bundle, the start time, and the caller."""

    path: Path
    since: datetime
    caller: CallContext


@dataclass(frozen=True)
class LoadFailure:
    """A failed or stopped load: the directory of the bundle, the time and the reason."""

    path: Path
    time: datetime
    reason: str


class BundleLoader:
    """Loads bundles and swaps them in. Safe to use from any thread.

    Attributes:
        engine_handle: Holds the engine that answers.
        root: Bundles are loaded only from below this directory.
        current: The bundle that serves.
        previous: The bundle to roll back to; None if there is none.
        loading: The load in progress; None if there is none.
        last_failure: The latest failed or stopped load; None once a later load succeeds.
    """

    def __init__(
        self,
        engine: Engine,
        deployed: Path,
        root: Path,
        load_seconds: float,
        settle_seconds: float = 1.0,
        open_context: Callable[[float], CallContext] = CallContext,
    ) -> None:
        """Serve a loaded engine.

        Args:
            engine: The engine that answers first.
            deployed: The directory of the engine's bundle; for a compacted bundle, the directory of
                the bundle that it was compacted from.
            root: Bundles are loaded only from below this directory.
            load_seconds: Longest time to load a bundle.
            settle_seconds: Time from the release of a replaced engine to the return of its memory
                to the system. By then, all parts of the engine must be freed.
            open_context: Makes the context of a load from the load's deadline.
        """
        self._open_context = open_context
        self._settle_seconds = settle_seconds
        self.engine_handle = EngineHandle(engine)
        self.root = root.resolve()
        self.previous: BundleRecord | None = None
        self.loading: LoadInProgress | None = None
        self.last_failure: LoadFailure | None = None
        self._leaving: weakref.WeakSet[Engine] = weakref.WeakSet()
        self._changing = threading.Lock()
        self._closed = False
        self._load_seconds = load_seconds
        self._swap: Callable[[Engine], Engine] = self.engine_handle.swap
        self.adopt(engine)
        self.current = replace(
            _record(engine), path=deployed.resolve(), deployed=Manifest.read(deployed)
        )

    @property
    def leaving(self) -> list[str]:
        """Ids of replaced bundles that still answer older calls."""
        return [engine.bundle_id for engine in self._leaving]

    def adopt(self, engine: Engine) -> None:
        """Swap in a loaded engine: it answers new calls from now on."""
        engine.share()
        self._replaced(self._swap(engine), engine)

    def swap_through(self, swap: Callable[[Engine], Engine]) -> None:
        """Swap engines through the live catalogue, which first adds its writes to a new engine."""
        self._swap = swap

    def compacted(self, before: Engine, engine: Engine) -> None:
        """Record that a compacted bundle has replaced the bundle that it was compacted from."""
        self._replaced(before, engine)
        with self._changing:
            if self.current.manifest is before.manifest:  # no other bundle was loaded since
                self.current = replace(self.current, manifest=engine.manifest)

    def _replaced(self, before: Engine, engine: Engine) -> None:
        if before is not engine:
            self._leaving.add(before)
            freed = weakref.finalize(before, _on_freed, before.bundle_id, self._settle_seconds)
            freed.atexit = False

    async def load(self, path: str) -> BundleRecord:
        """Load a bundle and swap it in. Cancel this coroutine to stop the load at its next step.

        Args:
            path: The bundle's directory below `root`, absolute or relative to `root`.

        Raises:
            RequestError: There is no such directory below `root`.
            LoadUnderWayError: Another bundle is being loaded.
            BundleRefusedError: The bundle is damaged, or its answers changed since it was built.
            DeadlineExceededError: The load took too long.
            StoppingError: The server is going down.
        """
        directory = self._below_root(path)
        return await self._loaded(lambda: directory, self._load)

    async def roll_back(self) -> BundleRecord:
        """Load the previous bundle again from its directory, and swap it in.

        Raises:
            NothingToRollBackToError: There is no previous bundle.
            LoadUnderWayError: Another bundle is being loaded.
            BundleRefusedError: The directory is missing or damaged, or has another bundle now.
            DeadlineExceededError: The load took too long.
            StoppingError: The server is going down.
        """
        return await self._loaded(self._previous_path, self._load_previous)

    def close(self) -> None:
        """Swap in no more bundles; a load in progress stops at its next step."""
        with self._changing:
            self._closed = True
            if self.loading is not None:
                self.loading.caller.cancel()

    def _below_root(self, path: str) -> Path:
        valid = 0 < len(path) <= _MAX_PATH_CHARACTERS
        try:
            directory = (self.root / path[:_MAX_PATH_CHARACTERS]).resolve()
            valid = valid and directory.is_relative_to(self.root) and directory.is_dir()
        except (OSError, ValueError, RuntimeError):  # a null character, or a loop of symbolic links
            valid = False
        if not valid:  # one message for all reasons, which says nothing about other directories
            raise RequestError("path", f"is no directory below the bundle root {self.root}")
        return directory

    def _previous_path(self) -> Path:
        if self.previous is None:
            raise NothingToRollBackToError("no bundle served before this one")
        return self.previous.path

    async def _loaded(
        self, directory: Callable[[], Path], load: Callable[[Path], BundleRecord]
    ) -> BundleRecord:
        """Run a load on a new thread, and return its result; a cancelled call stops the load."""
        caller = self._open_context(time.monotonic() + self._load_seconds)
        future = self._begin(directory, load, caller)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            caller.cancel()
            raise
        finally:
            del future  # a future and its error's traceback would form a reference cycle

    def _begin(
        self,
        directory: Callable[[], Path],
        load: Callable[[Path], BundleRecord],
        caller: CallContext,
    ) -> Future[BundleRecord]:
        """Start a load on a new thread; raise LoadUnderWayError if another load is in progress."""
        with self._changing:
            if self._closed:
                raise StoppingError("the server is going down")
            if self.loading is not None:
                since = self.loading.since.isoformat(timespec="seconds")
                raise LoadUnderWayError(f"{self.loading.path} has been loading since {since}")
            self.loading = loading = LoadInProgress(directory(), _now(), caller)
        future: Future[BundleRecord] = Future()
        future.set_running_or_notify_cancel()  # a cancelled call waits no longer, but the load ends
        # A daemon thread, so that the process can stop during a load.
        threading.Thread(
            target=self._run, args=(load, loading, future), name="loader", daemon=True
        ).start()
        return future

    def _run(
        self,
        load: Callable[[Path], BundleRecord],
        loading: LoadInProgress,
        future: Future[BundleRecord],
    ) -> None:
        try:
            with call_scope(loading.caller):
                record = load(loading.path)
        except BaseException as error:
            reason = str(error)
            if isinstance(error, BundleRefusedError | DeadlineExceededError | StoppingError):
                fields = {"path": str(loading.path), "reason": reason}
                logger.warning("bundle not loaded", extra={"fields": fields})
            else:
                reason = operator_text(error)
                log_error(logger, error, "bundle not loaded", path=loading.path)
            self.last_failure, self.loading = LoadFailure(loading.path, _now(), reason), None
            future.set_exception(error)
            give_back_memory()
        else:
            self.loading = None
            future.set_result(record)
        finally:
            del future  # as in `_loaded`

    def _load(self, directory: Path, expected_id: str | None = None) -> BundleRecord:
        engine = self._open(directory, expected_id)
        if self._closed:
            raise StoppingError("the server is going down")
        try:
            self.adopt(engine)
        except InputError as error:  # the bundle includes writes that the log lacks
            raise BundleRefusedError(str(error)) from None
        with self._changing:
            before, self.current = self.current, _record(engine)
        # If the ids are equal, the same bundle was loaded again, perhaps from another directory, so
        # there is nothing to roll back.
        if before.deployed.bundle_id != engine.bundle_id:
            self.previous = before
        self.last_failure = None
        log_serving(engine)
        return self.current

    def _load_previous(self, directory: Path) -> BundleRecord:
        assert self.previous is not None
        record = self._load(directory, self.previous.deployed.bundle_id)
        # A caller repeats a roll-back if it does not know whether the first call succeeded. The
        # second call must not swap in the bundle that the first call replaced.
        self.previous = None
        return record

    def _open(self, directory: Path, expected_id: str | None) -> Engine:
        """Load the engine of a bundle, ready to serve."""
        serving = self.engine_handle.engine
        refusal: Exception
        try:
            bundle_id = Manifest.read(directory).bundle_id
            if expected_id not in (None, bundle_id):
                raise InputError(f"{directory} holds bundle {bundle_id} now, not {expected_id}")
            return Engine.load(directory, serving.config, warm=True, models=serving.models)
        except InputError as error:
            refusal = BundleRefusedError(str(error))
        except DeadlineExceededError:
            refusal = self._stopped()
        # Raise the error after the `except` blocks. An error raised inside would keep the partly
        # loaded engine in memory.
        raise refusal

    def _stopped(self) -> Exception:
        """Return the error of a load that was stopped."""
        if self._closed:
            return StoppingError("the server is going down")
        caller = current_context()
        if caller is not None and caller.cancelled:
            return DeadlineExceededError("the call was cancelled, or its deadline passed")
        return DeadlineExceededError(f"the load took more than {self._load_seconds:g} s")


def log_serving(engine: Engine) -> None:
    """Log which bundle serves from now on."""
    fields = {"bundle": engine.bundle_id, "items": len(engine.snapshot.catalogue)}
    logger.info("serving", extra={"fields": fields})


def _record(engine: Engine) -> BundleRecord:
    return BundleRecord(engine.directory.resolve(), engine.manifest, engine.manifest, _now())


def _now() -> datetime:
    return datetime.now(UTC)


def _on_freed(bundle_id: str, settle_seconds: float) -> None:
    logger.info("replaced bundle freed", extra={"fields": {"bundle": bundle_id}})
    timer = threading.Timer(settle_seconds, give_back_memory)
    timer.name = "give-back-memory"
    timer.daemon = True
    timer.start()
