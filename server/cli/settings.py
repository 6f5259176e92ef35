"""Where the server's settings come from: flags, the environment, a file, defaults, in this order.

All three speak of the fields of `ServerConfig`: `--engine.recall-depth 100` on the command line is
`SHORTLIST_ENGINE_RECALL_DEPTH=100` in the environment and, in a TOML file,

    [engine]
    recall_depth = 100
"""

import difflib
import re
import tomllib
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

import tyro

from base.errors import InputError
from server.config import ServerConfig

_PREFIX = "SHORTLIST_"
# Variables of other parts of the house: where the tests' datasets lie, where a fault is set off.
_NOT_SETTINGS = ("SHORTLIST_DATA", "SHORTLIST_FAILPOINT")
_SECRET = re.compile(r"(^|_)(key|keys|token|tokens|secret|secrets|password|passwords)(_|$)")
_MASK = "***"
_DESCRIPTION = (
    'Serve a bundle over gRPC. `shortlist search "usb c charger"` searches a running server, '
    "`shortlist health` asks for its health."
)


@dataclass(frozen=True)
class _Given:
    """A setting as it was found somewhere."""

    value: Any  # of the field's type
    source: str  # such as "SHORTLIST_PORT" or "port in server.toml"


@dataclass(frozen=True)
class Settings:
    """The settings in force.

    Attributes:
        config: All of them.
        sources: Where each one came from that was given, by its name, such as "engine.numerics".
    """

    config: ServerConfig
    sources: Mapping[str, str]

    def report(self) -> dict[str, Any]:
        """What is in force and where it came from, to be logged: without secrets."""
        values = {name: _value_of(self.config, name) for name in setting_types()}
        return {
            "settings": {name: _shown(name, value) for name, value in values.items()},
            "sources": dict(self.sources),
        }


def load(
    arguments: Sequence[str], environ: Mapping[str, str], program: str = "python -m server"
) -> Settings:
    """Reads the settings.

    Args:
        arguments: The command line behind the program's name.
        environ: The environment.
        program: The name that the help text shows.

    Raises:
        InputError: Something is unknown or cannot be used; says where it stands.
        SystemExit: The command line cannot be parsed, or asks for help.
    """
    flags = {name: f"--{_dashed(name)}" for name in setting_types() if _flag(name, arguments)}
    given = _from_environment(environ)
    if file := _file(arguments, given):
        given = _from_file(file) | given
    # As flags in front of those of the command line: everything is checked at once, as one whole.
    first = [_as_flag(name, found.value) for name, found in given.items() if name not in flags]
    sources = {name: found.source for name, found in given.items()} | flags
    try:
        config = tyro.cli(
            ServerConfig, args=[*first, *arguments], prog=program, description=_DESCRIPTION
        )
    except InputError as error:
        raise InputError(f"{error}{_culprits(str(error), sources)}") from None
    return Settings(config, {name: sources[name] for name in setting_types() if name in sources})


def setting_types() -> dict[str, Any]:
    """Every setting's type by name; the name of a nested one has a dot, as `engine.numerics`."""
    return dict(_types(ServerConfig, ""))


def _value_of(config: object, name: str) -> Any:
    """Returns the value of a setting by its name."""
    for part in name.split("."):
        config = getattr(config, part)
    return config


def _types(kind: type, prefix: str) -> Iterator[tuple[str, Any]]:
    hints = get_type_hints(kind)
    for field in fields(kind):
        hint = hints[field.name]
        if isinstance(hint, type) and is_dataclass(hint):
            yield from _types(hint, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, hint


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _negated(name: str) -> str:
    group, dot, last = name.rpartition(".")
    return f"{group}{dot}no_{last}"


def _as_flag(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{_dashed(name if value else _negated(name))}"
    return f"--{_dashed(name)}={value}"


def _flag(name: str, arguments: Sequence[str]) -> bool:
    """Whether the command line gives a setting."""
    spellings = (_dashed(name), _dashed(_negated(name)))
    return any(
        word.startswith("--") and _dashed(word[2:].partition("=")[0]) in spellings
        for word in arguments
    )


def _file(arguments: Sequence[str], given: Mapping[str, _Given]) -> Path | None:
    """The file of settings that the command line or else the environment names."""
    found = given["config"].value if "config" in given else None
    for word, behind in zip_longest(arguments, arguments[1:]):
        flag, _, value = word.partition("=")
        named = value or behind
        if flag == "--config" and named:
            found = Path(named)
    return found


def _from_file(path: Path) -> dict[str, _Given]:
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"--config {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"--config {path}: not a TOML file ({error})") from None
    kinds = setting_types()
    del kinds["config"]  # one file, not a chain of them
    given = {}
    for name, value in _flat(table, "", set(kinds)):
        where = f"{name} in {path}"
        if name not in kinds:
            raise InputError(f"{where}: there is no such setting{_nearest(name, list(kinds))}")
        given[name] = _Given(_typed(kinds[name], value, where), where)
    return given


def _flat(table: Mapping[str, Any], prefix: str, known: set[str]) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        name = prefix + key
        if isinstance(value, Mapping) and any(other.startswith(f"{name}.") for other in known):
            yield from _flat(value, f"{name}.", known)
        else:
            yield name, value


def _from_environment(environ: Mapping[str, str]) -> dict[str, _Given]:
    kinds = setting_types()
    names = {_PREFIX + name.replace(".", "_").upper(): name for name in kinds}
    given = {}
    for variable, text in environ.items():
        if not variable.startswith(_PREFIX) or variable in _NOT_SETTINGS:
            continue
        if variable not in names:
            raise InputError(
                f"{variable}: there is no such setting{_nearest(variable, list(names))}"
            )
        name = names[variable]
        given[name] = _Given(_typed(kinds[name], text, variable), variable)
    return given


def _typed(kind: Any, value: object, where: str) -> Any:
    """Returns a value as its setting's type wants it; texts are read, as from the environment."""
    choices = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    for choice in sorted(choices, key=lambda choice: choice is not type(None)):  # "none" is a path
        found = _converted(choice, value)
        if found is not _UNUSABLE:
            return found
    hint = ""
    if isinstance(value, str) and value.startswith("tcp://"):
        hint = "; Kubernetes sets this one for a Service of that name: see enableServiceLinks"
    wanted = " or ".join(_described(choice) for choice in choices)
    raise InputError(f"{where}: must be {wanted}, not {_quoted(where, value)}{hint}")


_UNUSABLE = object()
_WORDS: Mapping[type, Mapping[str, bool | None]] = {
    bool: {"true": True, "1": True, "false": False, "0": False},
    type(None): {"none": None, "": None},
}


def _converted(kind: Any, value: object) -> Any:
    """Returns the value as one type, or _UNUSABLE."""
    if isinstance(value, str):
        return _read(kind, value)
    if kind is float and type(value) is int:
        return float(value)
    return value if type(value) is kind else _UNUSABLE


def _read(kind: Any, text: str) -> Any:
    """Returns what a text says in one type, or _UNUSABLE."""
    if get_origin(kind) is Literal:
        return text if text in get_args(kind) else _UNUSABLE
    if kind in _WORDS:
        return _WORDS[kind].get(text.lower(), _UNUSABLE)
    try:
        return kind(text) if text else _UNUSABLE
    except ValueError:
        return _UNUSABLE


def _described(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(str, get_args(kind)))
    names = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        Path: "a path",
        str: "a text",
        type(None): '"none"',
    }
    return names[kind]


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {near[0]}?" if near else ""


def _culprits(problem: str, sources: Mapping[str, str]) -> str:
    """Names, behind a problem, the settings it speaks of that were not given as flags."""
    named = [
        source
        for name, source in sources.items()
        if not source.startswith("--") and _speaks_of(problem, name)
    ]
    return f" ({', '.join(named)})" if named else ""


def _speaks_of(problem: str, name: str) -> bool:
    group, _, last = name.rpartition(".")
    if group:
        return problem.startswith(f"{group}: {last} ")
    return re.search(rf"--{_dashed(name)}(?![\w-])", problem) is not None


def _quoted(where: str, value: object) -> str:
    return _MASK if _is_secret(where) else repr(value)


def _is_secret(name: str) -> bool:
    return _SECRET.search(re.split(r"[ .]", name.lower())[0]) is not None


def _shown(name: str, value: Any) -> Any:
    """Returns a setting as the log may have it."""
    if value is None or isinstance(value, bool):  # whether, and no secret itself
        return value
    if _is_secret(name):
        return _MASK
    if isinstance(value, str) and "://" in value:
        # What stands before an @ is a password, and behind a ? there may be a key.
        parts = urlsplit(value)
        return parts._replace(
            netloc=parts.netloc.rpartition("@")[2],
            query=parts.query and _MASK,
            fragment=parts.fragment and _MASK,
        ).geturl()
    return value if isinstance(value, int | float | str) else str(value)
