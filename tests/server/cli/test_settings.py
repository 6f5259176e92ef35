"""Settings from flags, the environment and a file: precedence and errors."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from base.errors import InputError
from search.config import ANSWER_SHARE
from server.cli.settings import load, setting_types
from server.config import ServerConfig


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "server.toml"
    path.write_text('bundle = "from-file"\nport = 1\nthreads = 3\n[engine]\nrecall_depth = 11\n')
    return path


def refusal(*arguments: str, **environ: str) -> str:
    with pytest.raises(InputError) as refused:
        load(arguments, environ)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_flags_win_over_the_environment_and_that_over_the_file(file: Path) -> None:
    environ = {"SHORTLIST_PORT": "2", "SHORTLIST_THREADS": "4"}
    settings = load(["--config", str(file), "--port", "3"], environ)
    config = settings.config
    assert config.port == 3
    assert config.threads == 4
    assert config.engine.recall_depth == 11
    assert config.bundle == Path("from-file")
    assert config.queue_size == ServerConfig(Path("x")).queue_size
    assert settings.sources == {
        "bundle": f"bundle in {file}",
        "config": "--config",
        "port": "--port",
        "threads": "SHORTLIST_THREADS",
        "engine.recall_depth": f"engine.recall_depth in {file}",
    }


def test_the_environment_can_name_the_file_and_a_flag_another(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text('bundle = "from-other"\n')
    environ = {"SHORTLIST_CONFIG": str(file)}
    assert load([], environ).config.bundle == Path("from-file")
    settings = load([f"--config={other}"], environ)
    assert (settings.config.bundle, settings.config.port) == (Path("from-other"), 50051)
    assert settings.config.config == other


def test_nested_settings_have_their_variable() -> None:
    config = load(["--bundle", "b"], {"SHORTLIST_ENGINE_RECALL_DEPTH": "100"}).config
    assert config.engine.recall_depth == 100


def test_a_setting_can_be_none(file: Path) -> None:
    assert load(["--bundle", "b"], {"SHORTLIST_COMPILATION_CACHE": "none"}).config == replace(
        ServerConfig(Path("b")), compilation_cache=None
    )
    file.write_text('bundle = "b"\ncompilation_cache = "none"\n')
    assert load(["--config", str(file)], {}).config.compilation_cache is None


@pytest.mark.parametrize(
    "flag",
    [
        ["--compilation-cache", "none"],
        ["--compilation-cache=none"],
        ["--compilation_cache=None"],
        ["--compilation-cache", "None"],
    ],
)
def test_a_flag_can_be_none(flag: list[str]) -> None:
    config = load(["--bundle", "none", *flag, "--host", "none"], {}).config
    assert config.compilation_cache is None
    # These settings are never None, so the word is a value like any other.
    assert (config.bundle, config.host) == (Path("none"), "none")


SAMPLES: dict[str, Any] = {
    "int": 7,
    "float": 0.5,
    "str": "::1",
    "Path": "some/where",
    "bool": True,
}
SPECIAL: dict[str, Any] = {
    "engine.channel_weights": "lexical=0.6",
    "engine.numerics": "float32",
    "engine.price_limits": "demote",
    "engine.exclusions": "filter",
    "log_format": "json",
    "trace_endpoint": "http://localhost:4317",
}


@pytest.mark.parametrize("name", [name for name in setting_types() if name != "config"])
def test_every_setting_can_stand_in_a_file_and_in_the_environment(
    tmp_path: Path, name: str
) -> None:
    kind = setting_types()[name]
    word = re.sub(r"\s*\|\s*None", "", getattr(kind, "__name__", str(kind))).rpartition(".")[2]
    value = SPECIAL.get(name, SAMPLES.get(word))
    assert value is not None, f"give a sample of {name}, {kind}"
    others = {"SHORTLIST_TLS_CERT": "c", "SHORTLIST_TLS_KEY": "k"} | (
        {} if name == "bundle" else {"SHORTLIST_BUNDLE": "b"}
    )
    variable = "SHORTLIST_" + name.replace(".", "_").upper()
    from_environment = load([], {**others, variable: str(value)})
    assert from_environment.sources[name] == variable
    others.pop(variable, None)
    path = tmp_path / "server.toml"
    group, _, last = name.rpartition(".")
    path.write_text((f"[{group}]\n" if group else "") + f"{last} = {json.dumps(value)}\n")
    from_file = load([], {**others, "SHORTLIST_CONFIG": str(path)})
    assert from_file.sources[name] == f"{name} in {path}"
    assert replace(from_file.config, config=None) == from_environment.config


def test_no_two_settings_share_a_variable() -> None:
    variables = [name.replace(".", "_") for name in setting_types()]
    assert len(set(variables)) == len(variables)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prot = 1", "prot in {file}: there is no such setting; did you mean port?"),
        ("[engine]\nrecal_depth = 1", "engine.recal_depth in {file}: there is no such setting"),
        ("config = 'x'", "config in {file}: there is no such setting"),
        ("port = 'x'", "port in {file}: must be a whole number, not 'x'"),
        ("port = 1.5", "port in {file}: must be a whole number, not 1.5"),
        ("port = true", "port in {file}: must be a whole number, not True"),
        ("bundle = 1", "bundle in {file}: must be a path"),
        ("engine = 1", "engine in {file}: there is no such setting"),
        ("threads = []", "threads in {file}: must be a whole number"),
        ("[engine]\nnumerics = 'int8'", "must be one of auto, float32, bfloat16, not 'int8'"),
        ("port = 70000", "--port 70000: must be from 0 to 65535 (port in {file})"),
        ("drain_seconds = -1", "--drain-seconds: must not be negative"),
        ("reload_seconds = -1", "--reload-seconds: must not be negative"),
        ("[engine]\nrecall_depth = 0", "(engine.recall_depth in {file})"),
        ("port =", "--config {file}: not a TOML file"),
    ],
)
def test_errors_in_a_file_are_named_with_file_and_key(file: Path, text: str, said: str) -> None:
    file.write_text(f"{text}\n")
    assert said.format(file=file) in refusal("--config", str(file), SHORTLIST_BUNDLE="b")


def test_the_docs_example_of_a_file_can_be_used(file: Path) -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "operations.md"
    [example] = re.findall(r"```toml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    file.write_text(example)
    config = load(["--config", str(file)], {}).config
    assert (config.port, config.compilation_cache) == (50052, None)
    assert config.engine.recall_depth == 100


def test_help_and_docs_say_which_share_of_a_deadline_is_kept(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        load(["--help"], {})
    shown = re.sub(r"[\s│]+", " ", capsys.readouterr().out)
    share = f"{ANSWER_SHARE:.0%}"
    assert f"at least {share} of the time left" in shown
    page = (Path(__file__).resolve().parents[3] / "docs" / "serving.md").read_text("utf-8")
    assert re.search(rf"--engine\.answer-milliseconds`[^`]{{,150}}{share}", page)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "no.toml") in refusal("--config", str(tmp_path / "no.toml"))


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("SHORTLIST_PROT", "1", "SHORTLIST_PROT: there is no such setting; did you mean SHORTLIST"),
        ("SHORTLIST_PORT", "", "SHORTLIST_PORT: must be a whole number, not ''"),
        ("SHORTLIST_PORT", "tcp://10.0.0.1:50051", "enableServiceLinks"),
        ("SHORTLIST_PORT", "-1", "must be from 0 to 65535 (SHORTLIST_PORT)"),
        ("SHORTLIST_GRACE_SECONDS", "long", "SHORTLIST_GRACE_SECONDS: must be a number"),
    ],
)
def test_errors_in_the_environment_are_named(variable: str, value: str, said: str) -> None:
    assert said in refusal("--bundle", "b", **{variable: value})


def test_variables_that_are_no_settings_are_left_alone() -> None:
    environ = {"SHORTLIST_DATA": "x", "SHORTLIST_FAILPOINT": "y", "PATH": "z"}
    assert load(["--bundle", "b"], environ).config == ServerConfig(Path("b"))


@pytest.mark.parametrize("variable", ["SHORTLIST_DATA_DIR", "SHORTLIST_FAILPOINTS"])
def test_a_variable_that_only_begins_like_another_part_s_is_refused(variable: str) -> None:
    assert f"{variable}: there is no such setting" in refusal("--bundle", "b", **{variable: "x"})


def test_the_bundle_is_required(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        load([], {})
    assert ended.value.code == 2
    assert "--bundle" in capsys.readouterr().err


def test_the_log_has_values_and_sources_and_no_secrets() -> None:
    environ = {"SHORTLIST_TLS_KEY": "/run/secrets/hidden.pem", "SHORTLIST_TLS_CERT": "c.pem"}
    settings = load(["--bundle", "b", "--port", "5"], environ)
    report = settings.loggable()
    assert json.loads(json.dumps(report)) == report
    assert report["port"] == 5
    assert report["tls_cert"] == "c.pem"
    assert report["tls_key"] == "***"
    assert report["client_ca"] is None
    assert report["engine.recall_depth"] == 200
    assert settings.sources == {
        "bundle": "--bundle",
        "port": "--port",
        "tls_cert": "SHORTLIST_TLS_CERT",
        "tls_key": "SHORTLIST_TLS_KEY",
    }
    assert "hidden" not in json.dumps(report)


def test_booleans_are_logged_and_secrets_in_urls_are_not() -> None:
    url = "https://me:hidden@traces.example:4317/v1?api_key=hidden#hidden"
    report = load(["--bundle", "b", "--trace-endpoint", url, "--tokens-in-clear"], {}).loggable()
    assert report["tokens_in_clear"] is True
    assert report["trace_endpoint"] == "https://traces.example:4317/v1?***#***"
    assert "hidden" not in json.dumps(report)


def test_a_bad_secret_is_not_repeated(file: Path) -> None:
    file.write_text("tls_key = 12345\n")
    said = refusal("--config", str(file), SHORTLIST_BUNDLE="b")
    assert f"tls_key in {file}: must be" in said
    assert "12345" not in said
