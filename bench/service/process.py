"""A server process, and a thread that repeats an action."""

import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.harness.memory import resident_bytes


class Server:
    """A server process.

    Attributes:
        process: The process.
        address: The address of the server, host and port.
        port: The port.
    """

    def __init__(self, bundle: Path, cache: Path, *flags: str, port: int = 0) -> None:
        """Start the server, and wait until it listens.

        Args:
            bundle: The bundle to serve.
            cache: The directory of compiled programs.
            flags: Further flags of the server.
            port: The port; 0 for a free port.

        Raises:
            RuntimeError: the server did not start; the message contains the end of its log.
        """
        command = [sys.executable, "-m", "server", "--bundle", str(bundle), "--port", str(port)]
        command += ["--compilation-cache", str(cache), *flags]
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - `stop` closes it
        self.process = subprocess.Popen(  # noqa: S603 - our server
            command, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        assert self.process.stdout is not None
        listening = re.fullmatch(r"listening on (\S+)\n", self.process.stdout.readline())
        if listening is None:
            raise RuntimeError(f"the server did not start:\n{self._log_text()[-2_000:]}")
        self.address = listening[1]
        self.port = int(self.address.rpartition(":")[2])

    def logged(self, pattern: str) -> str:
        """Return the first group of the first match of a pattern in the log."""
        match = re.search(pattern, self._log_text())
        assert match, pattern
        return match[1]

    def memory_mib(self) -> float:
        """Return the resident memory in MiB."""
        resident = resident_bytes(self.process.pid)
        assert resident is not None
        return resident / 2**20

    def stop(self) -> None:
        """Stop the server gracefully."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self._log.close()

    def _log_text(self) -> str:
        self._log.seek(0)
        return self._log.read()


@contextmanager
def serving(bundle: Path, cache: Path, *flags: str) -> Iterator[Server]:
    """Run a server while the block runs; see `Server`."""
    server = Server(bundle, cache, *flags)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def repeated(
    seconds: float, action: Callable[[int, Counter[str]], None], done: Counter[str] | None = None
) -> Iterator[Counter[str]]:
    """Call `action` every `seconds` seconds while the block runs; yield the counter it updates."""
    counts: Counter[str] = Counter() if done is None else done
    over = threading.Event()

    def run() -> None:
        number, start = 0, time.perf_counter()
        while not over.wait(max(0.0, start + number * seconds - time.perf_counter())):
            action(number, counts)
            number += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield counts
    finally:
        over.set()
        thread.join()
