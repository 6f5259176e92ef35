"""Loading bundles while the server runs, swapping them in, and rolling back.

Running calls keep the engine that they began with. The last of these calls frees the engine:
nothing else keeps it, so code on a call's path must leave no reference cycles behind.
"""

import asyncio
import logging
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from base.error_logging import log_error
from base.errors import InputError
from base.memory import give_back_memory
from search.bundle import Manifest
from search.engine import Engine
from search.engine_handle import EngineHandle
from search.errors import RequestError
from server.worker_pool import StoppingError

logger = logging.getLogger(__name__)

# Linux's limit, in characters. Longer paths are not resolved: that would block the event loop for a
# time that grows with the square of the length.
_MAX_PATH_CHARACTERS = 4096

# Wait after a replaced bundle's last call, until all its parts are freed and its memory can go.
_SETTLE_SECONDS = 1.0


class BundleRefusedError(Exception):
    """A bundle cannot serve; the current one goes on."""


class LoadUnderWayError(Exception):
    """Another bundle is being loaded."""


class NothingToRollBackToError(Exception):
    """No bundle served before this one, or the server has rolled back to it already."""


@dataclass(frozen=True)
class BundleRecord:
    """A bundle that serves, or served.

    Attributes:
        path: The bundle's directory, without symbolic links.
        deployed: The manifest in that directory.
        manifest: The manifest of the bundle that answers: `deployed`, or compacted from it.
        since: When it began to serve.
    """

    path: Path
    deployed: Manifest
    manifest: Manifest
    since: datetime


@dataclass(frozen=True)
class LoadInProgress:
    """A bundle that is being loaded, and the start of the load."""

    path: Path
    since: datetime


@dataclass(frozen=True)
class LoadFailure:
    """A bundle that could not be loaded, when, and why."""

    path: Path
    time: datetime
    reason: str


class BundleLoader:
    """Loads bundles and swaps them in. Safe to use from any thread.

    Attributes:
        engine_handle: Holds the engine that answers.
        root: Bundles are loaded only from below this directory.
        current: The bundle that serves.
        previous: The bundle to roll back to; None without one.
        loading: The load in progress; None without one.
        last_failure: The latest failed load; None once a later load succeeds.
    """

    def __init__(self, engine: Engine, deployed: Path, root: Path) -> None:
        """Begin with a loaded engine.

        Args:
            engine: Answers from now on.
            deployed: The directory of the engine's bundle, or of the bundle it was compacted from.
            root: Bundles are loaded only from below this directory.
        """
        self.engine_handle = EngineHandle(engine)
        self.root = root.resolve()
        self.previous: BundleRecord | None = None
        self.loading: LoadInProgress | None = None
        self.last_failure: LoadFailure | None = None
        self._leaving: weakref.WeakSet[Engine] = weakref.WeakSet()
        self._changing = threading.Lock()
        self._closed = False
        self._swap: Callable[[Engine], Engine] = self.engine_handle.swap
        self.adopt(engine)
        self.current = replace(
            _record(engine), path=deployed.resolve(), deployed=Manifest.read(deployed)
        )

    @property
    def leaving(self) -> list[str]:
        """Ids of replaced bundles that still answer calls which began before."""
        return [engine.bundle_id for engine in self._leaving]

    def adopt(self, engine: Engine) -> None:
        """Let a loaded engine answer from now on. Every engine comes to answer through here."""
        engine.share()
        self._replaced(self._swap(engine), engine)

    def swap_through(self, swap: Callable[[Engine], Engine]) -> None:
        """Swap engines with a function of the live catalogue, which first adds the writes."""
        self._swap = swap

    def compacted(self, before: Engine, engine: Engine) -> None:
        """Record that a compacted bundle has replaced the one it was compacted from."""
        self._replaced(before, engine)
        with self._changing:
            if self.current.manifest is before.manifest:  # no other bundle was loaded since
                self.current = replace(self.current, manifest=engine.manifest)

    def _replaced(self, before: Engine, engine: Engine) -> None:
        if before is not engine:
            self._leaving.add(before)
            weakref.finalize(before, _on_freed, before.bundle_id).atexit = False

    async def load(self, path: str) -> BundleRecord:
        """Load a bundle and let it serve. The load goes on when the caller leaves.

        Args:
            path: The bundle's directory below `root`, absolute or relative to `root`.

        Raises:
            RequestError: There is no such directory below `root`.
            LoadUnderWayError: Another bundle is being loaded.
            BundleRefusedError: The bundle is damaged, or its answers changed since it was built.
            StoppingError: The server is going down.
        """
        directory = self._below_root(path)
        return await asyncio.wrap_future(self._begin(lambda: directory, self._load))

    async def roll_back(self) -> BundleRecord:
        """Load the previous bundle again, from the same directory, and let it serve.

        Raises:
            NothingToRollBackToError: There is no previous bundle.
            LoadUnderWayError: Another bundle is being loaded.
            BundleRefusedError: The bundle is gone, damaged, or another one.
            StoppingError: The server is going down.
        """
        return await asyncio.wrap_future(self._begin(self._previous_path, self._load_previous))

    def close(self) -> None:
        """Swap in no more bundles. A load in progress ends without effect."""
        with self._changing:
            self._closed = True

    def _below_root(self, path: str) -> Path:
        valid = 0 < len(path) <= _MAX_PATH_CHARACTERS
        try:
            directory = (self.root / path[:_MAX_PATH_CHARACTERS]).resolve()
            valid = valid and directory.is_relative_to(self.root) and directory.is_dir()
        except (OSError, ValueError, RuntimeError):  # a null character, a loop of links
            valid = False
        if not valid:  # one message for every reason: callers learn nothing of other directories
            raise RequestError("path", f"is no directory below the bundle root {self.root}")
        return directory

    def _previous_path(self) -> Path:
        if self.previous is None:
            raise NothingToRollBackToError("no bundle served before this one")
        return self.previous.path

    def _begin(
        self, directory: Callable[[], Path], load: Callable[[Path], BundleRecord]
    ) -> Future[BundleRecord]:
        """Begin to load on a new thread, unless a load is in progress."""
        with self._changing:
            if self._closed:
                raise StoppingError("the server is going down")
            if self.loading is not None:
                since = self.loading.since.isoformat(timespec="seconds")
                raise LoadUnderWayError(f"{self.loading.path} is being loaded since {since}")
            self.loading = LoadInProgress(directory(), _now())
        future: Future[BundleRecord] = Future()
        future.set_running_or_notify_cancel()  # so that a caller that leaves cannot cancel it
        # A daemon, so that a process that stops need not wait for the load.
        threading.Thread(
            target=self._run, args=(load, self.loading.path, future), name="loader", daemon=True
        ).start()
        return future

    def _run(
        self,
        load: Callable[[Path], BundleRecord],
        directory: Path,
        future: Future[BundleRecord],
    ) -> None:
        try:
            record = load(directory)
        except BaseException as error:
            reason = str(error)
            if isinstance(error, BundleRefusedError | StoppingError):
                fields = {"path": str(directory), "reason": reason}
                logger.warning("bundle not loaded", extra={"fields": fields})
            else:
                reason = f"{type(error).__name__}; the log says where"
                log_error(logger, error, "bundle not loaded: path=%s", directory)
            self.last_failure, self.loading = LoadFailure(directory, _now(), reason), None
            future.set_exception(error)
            give_back_memory()
        else:
            self.loading = None
            future.set_result(record)
        finally:
            del future  # with an error's traceback it would be a cycle

    def _load(self, directory: Path, expected_id: str | None = None) -> BundleRecord:
        engine = self._open(directory, expected_id)
        if self._closed:
            raise StoppingError("the server is going down")
        try:
            self.adopt(engine)
        except InputError as error:  # the bundle has later writes than the server's log
            raise BundleRefusedError(str(error)) from None
        with self._changing:
            before, self.current = self.current, _record(engine)
        if before.deployed.bundle_id != engine.bundle_id:  # else only the directory changed
            self.previous = before
        self.last_failure = None
        log_serving(engine)
        return self.current

    def _load_previous(self, directory: Path) -> BundleRecord:
        assert self.previous is not None
        record = self._load(directory, self.previous.deployed.bundle_id)
        # Callers repeat a roll-back when they do not know whether it succeeded. The second one must
        # not return to the bundle that the first one left.
        self.previous = None
        return record

    def _open(self, directory: Path, expected_id: str | None) -> Engine:
        """Open a bundle's engine, ready to serve."""
        serving = self.engine_handle.engine
        try:
            bundle_id = Manifest.read(directory).bundle_id
            if expected_id not in (None, bundle_id):
                raise InputError(f"{directory} holds bundle {bundle_id} now, not {expected_id}")
            return Engine.load(directory, serving.config, warm=True, models=serving.models)
        except InputError as error:
            reason = str(error)
        except Exception as error:
            log_error(logger, error, "bundle cannot be opened: path=%s", directory)
            reason = f"{directory} cannot be opened: {type(error).__name__}; the log says where"
        # Outside of the handlers: the error's traceback would keep what was loaded so far.
        raise BundleRefusedError(reason)


def log_serving(engine: Engine) -> None:
    """Log which bundle serves from now on."""
    fields = {"bundle": engine.bundle_id, "items": len(engine.snapshot.catalogue)}
    logger.info("serving", extra={"fields": fields})


def _record(engine: Engine) -> BundleRecord:
    return BundleRecord(engine.directory.resolve(), engine.manifest, engine.manifest, _now())


def _now() -> datetime:
    return datetime.now(UTC)


def _on_freed(bundle_id: str) -> None:
    logger.info("replaced bundle freed", extra={"fields": {"bundle": bundle_id}})
    timer = threading.Timer(_SETTLE_SECONDS, give_back_memory)
    timer.daemon = True
    timer.start()
