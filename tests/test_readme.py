"""README and docs/ are correct: make targets, flags, links and examples."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tyro
import yaml

from bench.__main__ import BenchConfig
from catalog.dataset.reading import read_dataset
from commands.import_exports import ImportConfig
from commands.main import COMMANDS as CONSOLE_COMMANDS
from commands.sync_export import SyncConfig
from server.cli.check import CheckConfig
from server.cli.health import HealthConfig
from server.cli.search import SearchConfig
from server.config import ServerConfig
from train.cli.commands import (
    EvaluateConfig,
    ExportEventsConfig,
    ImportEventsConfig,
    RecommendCommand,
)
from train.cli.main import COMMANDS
from train.cli.validate import ValidateConfig
from train.evaluation.policy.evaluate import PolicyConfig
from train.pipeline.options import FULL, TrainConfig

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def blocks(page: Path, language: str) -> list[str]:
    return [text for found, text in _BLOCK.findall(page.read_text("utf-8")) if found == language]


def commands() -> Iterator[tuple[Path, list[str]]]:
    """Yield the page and the words of every command in a shell example."""
    for page in PAGES:
        for block in blocks(page, "sh"):
            lines = re.sub(r"<<'END'\n.*?^END$", "", block, flags=re.MULTILINE | re.DOTALL)
            for line in lines.replace("\\\n", " ").splitlines():
                if words := shlex.split(line, comments=True):
                    yield page, words


def of_program(*program: str) -> list[object]:
    """Return the arguments of every command that starts with the words of a program."""
    size = len(program)
    return [
        pytest.param(words[size:], id=f"{page.relative_to(ROOT)}: {' '.join(words)}")
        for page, words in commands()
        if tuple(words[:size]) == program
    ]


@pytest.mark.parametrize("given", of_program("python", "-m", "train"))
def test_documented_training_commands_parse(given: list[str]) -> None:
    command, rest = (given[0], given[1:]) if given[0] in COMMANDS else ("all", given)
    rest = [word for word in rest if word != "…"]
    if command == "validate":
        tyro.cli(ValidateConfig, args=rest)
    elif command == "evaluate":
        tyro.cli(EvaluateConfig, args=rest)
    else:
        tyro.cli(TrainConfig, args=rest, default=FULL)


@pytest.mark.parametrize("given", of_program("python", "-m", "server"))
def test_documented_server_commands_parse(given: list[str]) -> None:
    if given[0] == "search":
        tyro.cli(SearchConfig, args=given[1:])
    elif given[0] == "health":
        tyro.cli(HealthConfig, args=given[1:])
    elif given[0] == "check":
        tyro.cli(CheckConfig, args=given[1:])
    else:
        tyro.cli(ServerConfig, args=given)


@pytest.mark.parametrize("given", of_program("shortlist"))
def test_documented_console_commands_parse(given: list[str]) -> None:
    command, rest = given[0], given[1:]
    configs: dict[str, type] = {
        "import": ImportConfig,
        "sync": SyncConfig,
        "validate": ValidateConfig,
        "evaluate": EvaluateConfig,
        "check": CheckConfig,
        "serve": ServerConfig,
        "search": SearchConfig,
        "health": HealthConfig,
    }
    of_events = {"export-events": ExportEventsConfig, "import-events": ImportEventsConfig}
    assert {*configs, "train"} == set(CONSOLE_COMMANDS)
    tasks: dict[str, type] = {"recommend": RecommendCommand, "policy": PolicyConfig}
    if rest[:1] == ["--task"]:
        command, rest = rest[1], rest[2:]
        configs[command] = tasks[command]
    if command == "train":
        subcommand, rest = (
            (rest[0], rest[1:]) if rest[:1] and rest[0] in COMMANDS else ("all", rest)
        )
        if subcommand in of_events:
            tyro.cli(of_events[subcommand], args=rest)
            return
        if "--from" in rest:  # `commands` replaces the option before training reads the others
            rest[rest.index("--from")] = "--data"
        tyro.cli(TrainConfig, args=[word for word in rest if word != "…"], default=FULL)
    else:
        tyro.cli(configs[command], args=rest)


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


def test_the_chinese_readme_has_the_commands_and_links_of_the_english_one() -> None:
    english, chinese = ROOT / "README.md", ROOT / "README.zh.md"
    shown = {page: {tuple(words[:2]) for at, words in commands() if at == page} for page in PAGES}
    assert shown[english] <= shown[chinese]
    linked = {
        page: {link.partition("#")[0] for link in _LINK.findall(page.read_text("utf-8"))}
        for page in (english, chinese)
    }
    # The Chinese page leaves out figures, and the page that has one of them.
    without = {"README.zh.md", "docs/benchmarks/index-search.md"}
    assert linked[english] - without <= linked[chinese]


def test_every_page_is_in_the_site_s_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:\n")[2]
    listed = re.findall(r"- ([\w/-]+\.md)$", navigation, re.MULTILINE)
    pages = [str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")]
    assert sorted(listed) == sorted(pages)


def test_diagrams_are_of_a_kind_that_mermaid_draws() -> None:
    diagrams = [block for page in PAGES for block in blocks(page, "mermaid")]
    assert len(diagrams) >= 4
    for diagram in diagrams:
        assert re.match(r"(flowchart (LR|BT|TB)|sequenceDiagram)\n", diagram)


def test_all_programs_are_shown_somewhere() -> None:
    assert of_program("shortlist")
    for program in (("-m", "train"), ("-m", "server"), ("-m", "bench.service.latency")):
        assert of_program("python", *program)


def test_documented_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert {"demo", "test"} <= targets
    named = {words[1] for _, words in commands() if words[0] == "make" and len(words) > 1}
    for page in PAGES:
        named |= set(re.findall(r"`(?:PYTHON=\S+ )?make ([a-z-]+)", page.read_text("utf-8")))
    assert named
    assert named <= targets


def test_options_named_in_the_text_exist(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    for config in (
        BenchConfig,
        TrainConfig,
        EvaluateConfig,
        ServerConfig,
        SearchConfig,
        HealthConfig,
        CheckConfig,
        ImportConfig,
        SyncConfig,
        RecommendCommand,
        PolicyConfig,
    ):
        with pytest.raises(SystemExit):
            tyro.cli(config, args=["--help"])
    options = set(re.findall(r"--[a-z][a-z.-]*", capsys.readouterr().out))
    for page in PAGES:
        text = _BLOCK.sub("", page.read_text("utf-8"))
        named = set(re.findall(r"`(--[a-z][a-z.-]*)", text)) - {"--help"}
        assert named <= options, page.name


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text("utf-8")):
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.+)$", found.read_text("utf-8"), re.MULTILINE)
            anchors = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
            assert anchor in anchors, target


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_python_examples_compile(page: Path) -> None:
    for block in blocks(page, "python"):
        compile(block, page.name, "exec")


def test_the_example_dataset_is_valid(tmp_path: Path) -> None:
    [example] = [b for b in blocks(ROOT / "docs" / "data.md", "sh") if "<<'END'" in b]
    written = example[: example.index("shortlist validate --data my-shop")]
    subprocess.run(["bash", "-euc", written], cwd=tmp_path, check=True)
    dataset = read_dataset(tmp_path / "my-shop")
    assert dataset.warnings == ()
    assert dataset.info.name == "My shop"
    assert dataset.items.num_rows == 3
    assert dataset.judgments is not None
    assert dataset.judgments["split"].to_pylist() == ["train", "train", "test"]


@pytest.mark.parametrize("script", [".ci/run", ".ci/package", ".ci/toolchains", "docs/demo.sh"])
def test_scripts_are_executable_and_parse(script: str) -> None:
    path = ROOT / script
    assert path.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(path)], check=True)


def test_every_pin_has_a_hash_and_no_registry_is_named() -> None:
    for path in ROOT.glob("requirements*.txt"):
        text = path.read_text("utf-8")
        assert "://" not in text, path.name
        assert "--index-url" not in re.sub(r"^#.*$", "", text, flags=re.MULTILINE), path.name
        pins = re.findall(r"^[\w.-]+(?:\[[\w,]+\])?==.*\\$", text, re.MULTILINE)
        assert pins, path.name
        assert len(pins) == len(re.findall(r"^[\w.-]+.*==", text, re.MULTILINE)), path.name


def test_hooks_before_a_commit_run_installed_tools_alone() -> None:
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert {repository["repo"] for repository in repositories} == {"local"}
    for hook in repositories[0]["hooks"]:
        assert hook["language"] == "system"
        program, *words = shlex.split(hook["entry"])
        assert shutil.which(program, path=str(Path(sys.executable).parent))
        assert all((ROOT / word).exists() for word in words if word.endswith(".py"))


def test_make_help_lists_every_target() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True)
    [phony] = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert set(re.findall(r"^ +make ([a-z-]+)", shown.stdout, re.MULTILINE)) == set(phony.split())
