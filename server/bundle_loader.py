"""One bundle after another: the next is loaded beside the one that answers, and takes its place.

Calls under way stay with the engine they began with. It is freed by the last of them: nothing else
keeps it, which is why the code on a call's path must leave no reference cycles behind.
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

# As many characters as Linux takes. A longer path is not looked for: that would take the event loop
# a time that grows with the square of its length.
_LONGEST_PATH = 4096

# From the last call of a replaced bundle until its memory is given back: all parts are freed then.
_SETTLE_SECONDS = 1.0


class BundleRefusedError(Exception):
    """A bundle cannot serve; the one that served goes on."""


class LoadUnderWayError(Exception):
    """Another bundle is being loaded."""


class NothingToRollBackToError(Exception):
    """No bundle served before this one, or it was rolled back from already."""


@dataclass(frozen=True)
class Served:
    """A bundle that answers, or did.

    Attributes:
        path: Where it lies, without links.
        deployed: What lies there.
        manifest: What answers: that, or what was compacted from it since.
        since: When it began to answer.
    """

    path: Path
    deployed: Manifest
    manifest: Manifest
    since: datetime


@dataclass(frozen=True)
class Loading:
    """A bundle being loaded, and since when."""

    path: Path
    since: datetime


@dataclass(frozen=True)
class Failure:
    """A bundle that was not loaded, when and why."""

    path: Path
    at: datetime
    reason: str


class Bundles:
    """Which bundle answers, which did before, and how another comes to.

    Attributes:
        engine_handle: Holds the engine that answers.
        root: The directory below which bundles may be loaded from.
        now: The bundle that answers.
        previous: The one before, to roll back to.
        loading: The one being loaded.
        failed: The last one that could not be, unless a later one was.
    """

    def __init__(self, engine: Engine, deployed: Path, root: Path) -> None:
        """Begin with a loaded engine.

        Args:
            engine: Answers from now on.
            deployed: The bundle that it is of, or that its bundle was compacted from.
            root: Bundles are loaded from below it alone.
        """
        self.engine_handle = EngineHandle(engine)
        self.root = root.resolve()
        self.previous: Served | None = None
        self.loading: Loading | None = None
        self.failed: Failure | None = None
        self._leaving: weakref.WeakSet[Engine] = weakref.WeakSet()
        self._changing = threading.Lock()
        self._closed = False
        self._swap: Callable[[Engine], Engine] = self.engine_handle.swap
        self.adopt(engine)
        self.now = replace(
            _served(engine), path=deployed.resolve(), deployed=Manifest.read(deployed)
        )

    @property
    def leaving(self) -> list[str]:
        """Ids of bundles that still answer calls which began before they were replaced."""
        return [engine.bundle_id for engine in self._leaving]

    def adopt(self, engine: Engine) -> None:
        """Let a loaded engine answer from now on. There is no other way to come to answer."""
        engine.share()
        self._left(self._swap(engine), engine)

    def write_through(self, swap: Callable[[Engine], Engine]) -> None:
        """Put engines into the slot by way of the live catalogue, which writes to them before."""
        self._swap = swap

    def compacted(self, before: Engine, engine: Engine) -> None:
        """Take note that a bundle of what was written has taken the place of the one before."""
        self._left(before, engine)
        with self._changing:
            if self.now.manifest is before.manifest:  # else another was loaded since
                self.now = replace(self.now, manifest=engine.manifest)

    def _left(self, before: Engine, engine: Engine) -> None:
        if before is not engine:
            self._leaving.add(before)
            weakref.finalize(before, _freed, before.bundle_id).atexit = False

    async def load(self, path: str) -> Served:
        """Load a bundle and let it answer. Goes on when the caller leaves.

        Args:
            path: Its directory, relative to `root` or absolute, and below it.

        Raises:
            RequestError: there is no such directory below `root`.
            LoadUnderWayError: another bundle is being loaded.
            BundleRefusedError: it is no sound bundle, or answers otherwise than when built.
            StoppingError: the server is going down.
        """
        directory = self._below_root(path)
        return await asyncio.wrap_future(self._begin(lambda: directory, self._load))

    async def roll_back(self) -> Served:
        """Let the previous bundle answer again, loaded from where it lay.

        Raises:
            NothingToRollBackToError: there is none.
            LoadUnderWayError: another bundle is being loaded.
            BundleRefusedError: it is not there any more, not sound, or not the same.
            StoppingError: the server is going down.
        """
        return await asyncio.wrap_future(self._begin(self._previous_path, self._load_previous))

    def close(self) -> None:
        """Let no other bundle answer any more; one being loaded is dropped once it is ready."""
        with self._changing:
            self._closed = True

    def _below_root(self, path: str) -> Path:
        found = 0 < len(path) <= _LONGEST_PATH
        try:
            directory = (self.root / path[:_LONGEST_PATH]).resolve()
            found = found and directory.is_relative_to(self.root) and directory.is_dir()
        except (OSError, ValueError, RuntimeError):  # a null character, a ring of links
            found = False
        if not found:  # one answer to all that is wrong: what lies outside is nobody's business
            raise RequestError("path", f"is no directory below the bundle root {self.root}")
        return directory

    def _previous_path(self) -> Path:
        if self.previous is None:
            raise NothingToRollBackToError("no bundle served before this one")
        return self.previous.path

    def _begin(
        self, directory: Callable[[], Path], load: Callable[[Path], Served]
    ) -> Future[Served]:
        """Begin to load on a thread of its own, unless one is at it."""
        with self._changing:
            if self._closed:
                raise StoppingError("the server is going down")
            if self.loading is not None:
                since = self.loading.since.isoformat(timespec="seconds")
                raise LoadUnderWayError(f"{self.loading.path} is being loaded since {since}")
            self.loading = Loading(directory(), _time())
        future: Future[Served] = Future()
        future.set_running_or_notify_cancel()  # a caller that leaves does not end it
        # A daemon, so that a process that is stopped meanwhile need not wait for it.
        threading.Thread(
            target=self._run, args=(load, self.loading.path, future), name="loader", daemon=True
        ).start()
        return future

    def _run(self, load: Callable[[Path], Served], directory: Path, future: Future[Served]) -> None:
        try:
            served = load(directory)
        except BaseException as error:
            reason = str(error)
            if isinstance(error, BundleRefusedError | StoppingError):
                logger.warning("bundle %s is not loaded: %s", directory, reason)
            else:
                reason = f"{type(error).__name__}; the log says where"
                log_error(logger, error, "bundle %s is not loaded", directory)
            self.failed, self.loading = Failure(directory, _time(), reason), None
            future.set_exception(error)
            give_back_memory()
        else:
            self.loading = None
            future.set_result(served)
        finally:
            del future  # with an error's traceback it would be a cycle

    def _load(self, directory: Path, expected: str | None = None) -> Served:
        engine = self._opened(directory, expected)
        if self._closed:
            raise StoppingError("the server is going down")
        try:
            self.adopt(engine)
        except InputError as error:  # it has later writes than the log that it is served with
            raise BundleRefusedError(str(error)) from None
        with self._changing:
            before, self.now = self.now, _served(engine)
        if before.deployed.bundle_id != engine.bundle_id:  # else only its place is another
            self.previous = before
        self.failed = None
        logger.info(
            "serving bundle %s with %d items", engine.bundle_id, len(engine.snapshot.catalogue)
        )
        return self.now

    def _load_previous(self, directory: Path) -> Served:
        assert self.previous is not None
        served = self._load(directory, self.previous.deployed.bundle_id)
        # Whoever repeats the call, not knowing whether it came through, must not get back to what
        # they rolled back from.
        self.previous = None
        return served

    def _opened(self, directory: Path, expected: str | None) -> Engine:
        """A bundle's engine, ready to serve."""
        serving = self.engine_handle.engine
        try:
            found = Manifest.read(directory).bundle_id
            if expected not in (None, found):
                raise InputError(f"{directory} holds bundle {found} now, not {expected}")
            return Engine.load(directory, serving.config, warm=True, models=serving.models)
        except InputError as error:
            reason = str(error)
        except Exception as error:
            log_error(logger, error, "bundle %s cannot be opened", directory)
            reason = f"{directory} cannot be opened: {type(error).__name__}; the log says where"
        # Not while the other is handled: its traceback would keep what was loaded so far.
        raise BundleRefusedError(reason)


def _served(engine: Engine) -> Served:
    return Served(engine.directory.resolve(), engine.manifest, engine.manifest, _time())


def _time() -> datetime:
    return datetime.now(UTC)


def _freed(bundle_id: str) -> None:
    logger.info("bundle %s is freed: its last call has ended", bundle_id)
    timer = threading.Timer(_SETTLE_SECONDS, give_back_memory)
    timer.daemon = True
    timer.start()
