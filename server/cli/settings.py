"""Load the server's settings from flags, the environment, a file or defaults; the first wins.

Every source names settings after the fields of `ServerConfig`. The flag `--engine.recall-depth 100`
is `SHORTLIST_ENGINE_RECALL_DEPTH=100` in the environment. In a TOML file it is

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
# Variables that are not settings: data and models of the tests, and failpoints (`base.failpoints`).
_NOT_SETTINGS = ("SHORTLIST_DATA", "SHORTLIST_MODELS", "SHORTLIST_FAILPOINT")
_SECRET = re.compile(r"(^|_)(key|keys|token|tokens|secret|secrets|password|passwords)(_|$)")
_MASK = "***"
_DESCRIPTION = (
    'Serve a bundle over gRPC. Other commands: `shortlist search "usb c charger"` searches a '
    "running server, `shortlist health` asks whether it serves, and `shortlist check` checks a "
    "bundle and a state directory."
)


@dataclass(frozen=True)
class _SourcedValue:
    """A setting's value and its source."""

    value: Any  # of the field's type
    source: str  # such as "SHORTLIST_PORT" or "port in server.toml"


@dataclass(frozen=True)
class Settings:
    """The settings in force.

    Attributes:
        config: The values of all settings.
        sources: The source of each setting, by a name such as "engine.numerics". Settings with
            default values are left out.
    """

    config: ServerConfig
    sources: Mapping[str, str]

    def loggable(self) -> dict[str, Any]:
        """Return all values by name, without secrets, for the log."""
        values = {name: _value_of(self.config, name) for name in setting_types()}
        return {name: _without_secrets(name, value) for name, value in values.items()}


def load(
    arguments: Sequence[str], environ: Mapping[str, str], program: str = "python -m server"
) -> Settings:
    """Read the settings.

    Args:
        arguments: The command line after the program's name.
        environ: The environment variables.
        program: The name that the help text shows.

    Raises:
        InputError: A setting is unknown or its value is not valid; the message names its source.
        SystemExit: The command line cannot be parsed, or asks for help.
    """
    flags = {name: f"--{_dashed(name)}" for name in setting_types() if _has_flag(name, arguments)}
    others = _from_environment(environ)
    if file := _file(arguments, others):
        others = _from_file(file) | others
    # Settings from other sources become flags in front of the command line, so that one parser
    # checks all settings.
    added = [_as_flag(name, other.value) for name, other in others.items() if name not in flags]
    sources = {name: other.source for name, other in others.items()} | flags
    try:
        config = tyro.cli(
            ServerConfig,
            args=[*added, *_with_none(arguments)],
            prog=program,
            description=_DESCRIPTION,
        )
    except InputError as error:
        raise InputError(f"{error}{_sources_of(str(error), sources)}") from None
    return Settings(config, {name: sources[name] for name in setting_types() if name in sources})


def setting_types() -> dict[str, Any]:
    """Return every setting's type by its name; nested names have a dot: `engine.numerics`."""
    return dict(_types(ServerConfig, ""))


def _value_of(config: object, name: str) -> Any:
    """Return the value of a setting by its name."""
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


def _with_none(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the arguments, with "None" as the value of each flag that sets a setting to None.

    Like the other sources, flags may have the value "none". tyro would read it as a path.
    """
    optional = {_dashed(name) for name, kind in setting_types().items() if _is_optional(kind)}
    previous = ""
    for word in arguments:
        flag, equals, value = word.partition("=") if word.startswith("--") else (previous, "", word)
        is_none = value.lower() == "none" and _dashed(flag.removeprefix("--")) in optional
        yield (f"{flag}=None" if equals else "None") if is_none else word
        previous = word if word.startswith("--") else ""


def _is_optional(kind: Any) -> bool:
    return type(None) in get_args(kind)


def _has_flag(name: str, arguments: Sequence[str]) -> bool:
    """Return whether the command line has a flag for a setting."""
    spellings = (_dashed(name), _dashed(_negated(name)))
    return any(
        word.startswith("--") and _dashed(word[2:].partition("=")[0]) in spellings
        for word in arguments
    )


def _file(arguments: Sequence[str], environ: Mapping[str, _SourcedValue]) -> Path | None:
    """Return the settings file from the command line, or else from the environment."""
    path = environ["config"].value if "config" in environ else None
    for word, next_word in zip_longest(arguments, arguments[1:]):
        flag, _, value = word.partition("=")
        name = value or next_word
        if flag == "--config" and name:
            path = Path(name)
    return path


def _from_file(path: Path) -> dict[str, _SourcedValue]:
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"--config {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"--config {path}: not a TOML file ({error})") from None
    kinds = setting_types()
    del kinds["config"]  # a settings file cannot name another file
    settings = {}
    for name, value in _flat(table, "", set(kinds)):
        source = f"{name} in {path}"
        if name not in kinds:
            raise InputError(f"{source}: there is no such setting{_nearest(name, list(kinds))}")
        settings[name] = _SourcedValue(_typed(kinds[name], value, source), source)
    return settings


def _flat(table: Mapping[str, Any], prefix: str, known: set[str]) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        name = prefix + key
        if isinstance(value, Mapping) and any(other.startswith(f"{name}.") for other in known):
            yield from _flat(value, f"{name}.", known)
        else:
            yield name, value


def _from_environment(environ: Mapping[str, str]) -> dict[str, _SourcedValue]:
    kinds = setting_types()
    names = {_PREFIX + name.replace(".", "_").upper(): name for name in kinds}
    settings = {}
    for variable, text in environ.items():
        if not variable.startswith(_PREFIX) or variable in _NOT_SETTINGS:
            continue
        if variable not in names:
            raise InputError(
                f"{variable}: there is no such setting{_nearest(variable, list(names))}"
            )
        name = names[variable]
        settings[name] = _SourcedValue(_typed(kinds[name], text, variable), variable)
    return settings


def _typed(kind: Any, value: object, source: str) -> Any:
    """Convert a value to the type of its setting.

    A text is parsed, because the environment has only texts.

    Raises:
        InputError: The value does not fit the type.
    """
    choices = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    # None is tried first. Otherwise, "none" would be parsed as a path.
    for choice in sorted(choices, key=lambda choice: choice is not type(None)):
        typed = _converted(choice, value)
        if typed is not _INVALID:
            return typed
    hint = ""
    if isinstance(value, str) and value.startswith("tcp://"):
        hint = "; Kubernetes sets it for a Service of that name: see enableServiceLinks"
    expected = " or ".join(_described(choice) for choice in choices)
    raise InputError(f"{source}: must be {expected}, not {_quoted(source, value)}{hint}")


_INVALID = object()
_WORDS: Mapping[type, Mapping[str, bool | None]] = {
    bool: {"true": True, "1": True, "false": False, "0": False},
    type(None): {"none": None, "": None},
}


def _converted(kind: Any, value: object) -> Any:
    """Convert a value to one type; return _INVALID if the value does not fit."""
    if isinstance(value, str):
        return _parsed(kind, value)
    if kind is float and type(value) is int:
        return float(value)
    return value if type(value) is kind else _INVALID


def _parsed(kind: Any, text: str) -> Any:
    """Parse a text as one type; return _INVALID if the text does not fit."""
    if get_origin(kind) is Literal:
        return text if text in get_args(kind) else _INVALID
    if kind in _WORDS:
        return _WORDS[kind].get(text.lower(), _INVALID)
    try:
        return kind(text) if text else _INVALID
    except ValueError:
        return _INVALID


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


def _sources_of(problem: str, sources: Mapping[str, str]) -> str:
    """Return, in brackets, where the settings in an error message come from; omit flags."""
    others = [
        source
        for name, source in sources.items()
        if not source.startswith("--") and _names_setting(problem, name)
    ]
    return f" ({', '.join(others)})" if others else ""


def _names_setting(problem: str, name: str) -> bool:
    group, _, last = name.rpartition(".")
    if group:
        return problem.startswith(f"{group}: {last} ")
    return re.search(rf"--{_dashed(name)}(?![\w-])", problem) is not None


def _quoted(source: str, value: object) -> str:
    return _MASK if _is_secret(source) else repr(value)


def _is_secret(name: str) -> bool:
    return _SECRET.search(re.split(r"[ .]", name.lower())[0]) is not None


def _without_secrets(name: str, value: Any) -> Any:
    """Return a setting's value for the log, with secrets masked."""
    # None and booleans are never secret, even if the name of the setting looks secret, such as
    # `tokens_in_clear`.
    if value is None or isinstance(value, bool):
        return value
    if _is_secret(name):
        return _MASK
    if isinstance(value, str) and "://" in value:
        # A URL can have a user and password before "@", and a key after "?" or "#".
        parts = urlsplit(value)
        return parts._replace(
            netloc=parts.netloc.rpartition("@")[2],
            query=parts.query and _MASK,
            fragment=parts.fragment and _MASK,
        ).geturl()
    return value if isinstance(value, int | float | str) else str(value)
