"""The bundle: one immutable, checksummed directory that holds everything serving needs.

The manifest, `manifest.json`, is written last; a directory without a manifest is not a bundle.
Loading first checks every file against the manifest, and refuses a bundle with unlisted files. So
no unlisted file is ever opened. This matters for pickle files, because ScaNN would execute them.
The manifest begins with a digest of the rest of its content, so loading detects any changed bit.
"""

import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from base.atomic_files import write_text
from base.errors import InputError
from base.untrusted import limits
from base.untrusted.small_files import read_bytes
from search.bundle.calibration import Calibration
from search.ranking.weights import MAX_WEIGHT, Weights

FORMAT_VERSION = 2
PARTS_VERSION = 1  # version of all files but the manifest; `train` starts over if it changes
_UNSEALED_VERSION = 1  # older format version, without a digest of the manifest; can still be read
MANIFEST = "manifest.json"
_SEAL = '{\n "sha256": "%s",\n'  # beginning of a manifest: the digest of all later bytes
_HALF_WRITTEN = f".{MANIFEST}."  # prefix of temporary files that a killed `write_text` can leave
TOWERS = "towers"
RERANK = "rerank"
TOKENIZER = "tokenizer"
INDEX = "index"
LEXICAL = "lexical"
UNDERSTANDING = "understanding"  # optional
SUGGESTIONS = "suggestions"  # optional
BEHAVIOUR = "behaviour"  # optional: what people do, as counts; no user ids
PEOPLE = "people"  # optional: the user tower and the blocks of items; no user ids
ITEMS = "items.parquet"
GOLDEN = "golden.jsonl"
_MAX_PROBLEMS = 10  # number of problems that a message lists
_CHUNK = 2**20  # bytes of a file that are read at a time
# The recall channels of bundles whose manifest names no channels.
FIRST_CHANNELS = ("dense", "lexical")


class BundleError(InputError):
    """A directory is not a valid bundle; the message names the faulty file."""


@dataclass(frozen=True)
class Manifest:
    """Identity, origin and files of a bundle.

    Attributes:
        bundle_id: Hash of all files but the manifest, and of `as_of`, `numerics`, `channels`,
            `weights` and `calibration`; 16 hexadecimal digits.
        created: UTC time, ISO 8601.
        as_of: The day on which item ages are computed, ISO 8601; None if no item has a date.
        numerics: Input type of matrix products when the bundle was built.
        built_from: Resolved configuration, seeds, package versions, dataset fingerprint.
        reports: The report of each training step, including the recall of the index.
        metrics: Metrics of `train evaluate`; empty before the evaluation.
        files: Size in bytes and SHA-256 of every other file, by path.
        state: The writes that the items include. `log` is the id of the write-ahead log, and
            `sequence` is the number of the last included write. None if no writes are included.
        root: The `bundle_id` of the trained bundle from which compactions made this bundle; None if
            `train` built this bundle.
        weights: The weights of scores that training chose on the `dev` split; None in bundles of
            earlier versions.
        channels: The recall channels that the bundle was built with. Searches use no other
            channels. So the results of a bundle stay the same when a later version of the program
            adds a channel.
        calibration: How scores become relevance; None in bundles of earlier versions, whose results
            have no relevance.
    """

    bundle_id: str
    created: str
    as_of: str | None
    numerics: str
    built_from: Mapping[str, Any]
    reports: Mapping[str, Any]
    metrics: Mapping[str, Any]
    files: Mapping[str, Mapping[str, Any]]
    state: Mapping[str, Any] | None = None
    root: str | None = None
    channels: tuple[str, ...] = FIRST_CHANNELS
    weights: Weights | None = None
    calibration: Calibration | None = None

    def with_files(self, files: Mapping[str, Mapping[str, Any]]) -> "Manifest":
        """Return a copy with the given files and the `bundle_id` that belongs to them."""
        filled = replace(self, files=files)
        return replace(filled, bundle_id=filled.identity())

    def with_metrics(self, metrics: Mapping[str, Any]) -> "Manifest":
        """Return a copy with the metrics of an evaluation."""
        return replace(self, metrics=metrics)

    def files_of(self, *parts: str) -> dict[str, Mapping[str, Any]]:
        """Return the entries of the files in some parts (such as `TOWERS`), by path."""
        return {p: entry for p, entry in self.files.items() if p.split("/")[0] in parts}

    def write(self, directory: Path) -> None:
        """Write the manifest atomically."""
        weights = None if self.weights is None else asdict(self.weights)
        calibration = None if self.calibration is None else asdict(self.calibration)
        values = {"format_version": FORMAT_VERSION, **vars(self)}
        values |= {"weights": weights, "calibration": calibration}
        content = json.dumps(values, indent=1).removeprefix("{\n") + "\n"
        write_text(directory / MANIFEST, _SEAL % _digest(content.encode()) + content)

    @classmethod
    def read(cls, directory: Path) -> "Manifest":
        """Read a bundle's manifest, without checking its files.

        Raises:
            BundleError: the manifest is missing, damaged, or has another format version.
        """
        path = directory / MANIFEST
        if not directory.is_dir():
            raise BundleError(f"{directory} is not a directory; name one that `train` built")
        try:
            content = read_bytes(path, limits.JSON_BYTES)
            values = json.loads(content.decode("utf-8"))
            version, digest = values.pop("format_version"), values.pop("sha256", None)
        except FileNotFoundError:
            raise BundleError(
                f"{directory} has no {MANIFEST}, so it is no bundle (or was never finished); "
                "name the OUT/bundle that `train` wrote"
            ) from None
        except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
            raise BundleError(f"{path} cannot be read: {error}") from error
        if version not in (_UNSEALED_VERSION, FORMAT_VERSION):
            raise BundleError(
                f"{path} is of format version {version}, this program reads {FORMAT_VERSION}; "
                "build the bundle again with this version"
            )
        unaltered = _is_sealed(content) if version == FORMAT_VERSION else digest is None
        if not unaltered:
            raise BundleError(f"{path} was altered: its digest is not that of its content")
        try:
            values["channels"] = tuple(values.get("channels", FIRST_CHANNELS))
            if values.get("weights") is not None:
                values["weights"] = Weights(**values["weights"])
            if values.get("calibration") is not None:
                values["calibration"] = Calibration.of(values["calibration"])
            manifest = cls(**values)
            manifest.check()
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise BundleError(f"{path} is not a valid manifest: {error}") from error
        return manifest

    def check(self) -> None:
        """Check the fields that the engine relies on.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: a field has the wrong form.
        """
        if self.numerics not in ("float32", "bfloat16"):
            raise ValueError(f"numerics is {self.numerics!r}")
        datetime.fromisoformat(self.created)
        if self.as_of is not None:
            date.fromisoformat(self.as_of)
        for path, entry in self.files.items():
            if not (isinstance(entry["size"], int) and isinstance(entry["sha256"], str)):
                raise TypeError(f"the entry of {path} is not a size and a SHA-256")
        if self.state is not None and not (
            isinstance(self.state["log"], str) and isinstance(self.state["sequence"], int)
        ):
            raise TypeError("state is not a log and a sequence")
        if not all(isinstance(name, str) for name in self.channels):
            raise TypeError("channels are not names")
        if self.weights is not None:
            for weight in (self.weights.recall, *self.weights.channels.values()):
                if not 0 <= weight <= MAX_WEIGHT:
                    raise ValueError(f"weights has {weight}")
        for name in ("built_from", "reports", "metrics"):
            if not isinstance(getattr(self, name), dict):
                raise TypeError(f"{name} is not an object")
        if self.identity() != self.bundle_id:
            raise ValueError("bundle_id does not fit the files and settings")

    def identity(self) -> str:
        """Return the bundle's id: a hash of everything that its results depend on."""
        content = {path: entry["sha256"] for path, entry in self.files.items()}
        parts: list[Any] = [content, self.numerics, self.as_of]
        if self.channels != FIRST_CHANNELS:
            parts.append(self.channels)
        if self.weights is not None:
            parts.append(asdict(self.weights))
        if self.calibration is not None:
            parts.append(asdict(self.calibration))
        text = json.dumps(parts, sort_keys=True)
        return _digest(text.encode())[:16]


def _is_sealed(content: bytes) -> bool:
    rest = content[len(_SEAL % _digest(b"")) :]
    return content == (_SEAL % _digest(rest)).encode() + rest


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def list_files(directory: Path) -> dict[str, dict[str, Any]]:
    """Return the size and SHA-256 of each file below a directory, except the manifest."""
    return {
        path: {"size": (directory / path).stat().st_size, "sha256": _sha256(directory / path)}
        for path in sorted(_content(directory))
    }


def require_unchanged(
    directory: Path, manifest: Manifest, *parts: str, copies: Path | None = None
) -> None:
    """Check that some parts of a bundle in use have not changed since the bundle was loaded.

    Args:
        directory: The directory of the bundle.
        manifest: The manifest of the loaded bundle.
        parts: Names of directories in the bundle, such as `TOWERS`.
        copies: A directory with copies of the parts, which are checked; None: check the originals.

    Raises:
        BundleError: files are missing, altered or added.
    """
    present = {
        f"{part}/{path}": entry
        for part in parts
        if ((copies or directory) / part).is_dir()
        for path, entry in list_files((copies or directory) / part).items()
    }
    if present != manifest.files_of(*parts):
        raise BundleError(
            f"{directory} is no longer the bundle that is served; restart the server, and let "
            "`train` write to a directory that no server uses"
        )


def verify(directory: Path, between_steps: Callable[[], object] = lambda: None) -> Manifest:
    """Check a bundle's files, byte by byte, against its manifest.

    Args:
        directory: The directory of the bundle.
        between_steps: Called after at most a few MiB each. An exception that it raises ends the
            check.

    Raises:
        BundleError: files are missing, altered or not listed; the message lists the first ten.
    """
    manifest = Manifest.read(directory)
    problems = list(islice(_problems(directory, manifest, between_steps), _MAX_PROBLEMS + 1))
    if problems:
        problems[_MAX_PROBLEMS:] = ["…"] * (len(problems) > _MAX_PROBLEMS)
        raise BundleError(f"bundle {directory} is damaged: " + "; ".join(problems))
    return manifest


def _problems(directory: Path, manifest: Manifest, check: Callable[[], object]) -> Iterator[str]:
    """Yield what is wrong with the files of a bundle."""
    present = set()
    try:
        for path in _content(directory):
            check()
            if path not in manifest.files:
                yield f"{path} is not listed in the manifest"
            present.add(path)
    except OSError as error:
        yield f"{error.filename} cannot be read: {error.strerror}"
    yield from (f"{path} is missing" for path in sorted(manifest.files.keys() - present))
    for path in sorted(manifest.files.keys() & present):
        try:
            problem = _problem_of(directory / path, manifest.files[path], check)
        except OSError as error:
            problem = f"cannot be read: {error.strerror}"
        if problem is not None:
            yield f"{path} {problem}"


def _problem_of(file: Path, entry: Mapping[str, Any], check: Callable[[], object]) -> str | None:
    """Return what is wrong with a file; None if it fits its entry in the manifest."""
    status = file.lstat()
    if not stat.S_ISREG(status.st_mode):  # a link, or a pipe, which would never end
        return "is not a regular file"
    if status.st_size != entry["size"]:
        return f"has {status.st_size} bytes, not {entry['size']}"
    if _sha256(file, check) != entry["sha256"]:
        return "was altered: its SHA-256 is not the manifest's"
    return None


def _content(directory: Path) -> Iterator[str]:
    """Yield the paths of all files and links below a directory, without the manifest."""
    folders = [""]
    while folders:
        folder = folders.pop()
        with os.scandir(directory / folder) as entries:
            for entry in entries:
                path = f"{folder}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    folders.append(f"{path}/")
                elif path != MANIFEST and not path.startswith(_HALF_WRITTEN):
                    yield path


def _sha256(path: Path, check: Callable[[], object] = lambda: None) -> str:
    """Return the SHA-256 of a file; call `check` before each chunk."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            check()
            digest.update(chunk)
    return digest.hexdigest()
