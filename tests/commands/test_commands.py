"""The console command `shortlist`: its help, its exit codes, and what it imports."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from base.errors import InputError
from catalog.dataset.reading import read_dataset
from commands.import_exports import ExportConfig, train_from_export
from commands.main import COMMANDS, main
from train.cli.main import training_options

ROOT = Path(__file__).resolve().parents[2]


def run(command: list[str], directory: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command of this source tree in another working directory."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "protos")])
    return subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "100", **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def script(tmp_path: Path) -> list[str]:
    """The command line of the console command: the installed script, or a copy of pip's script."""
    installed = Path(sys.executable).with_name("shortlist")
    if installed.exists():
        return [sys.executable, str(installed)]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    module, _, function = project["scripts"]["shortlist"].partition(":")
    path = tmp_path / "bin" / "shortlist"
    path.parent.mkdir()
    path.write_text(
        f"import sys\nfrom {module} import {function}\n"
        f"if __name__ == '__main__':\n    sys.exit({function}())\n"
    )
    return [sys.executable, str(path)]


def test_help_lists_every_command_in_one_screen(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    listed = [line.split()[0] for line in lines if line.startswith("  ")]
    assert listed == list(COMMANDS)
    assert main([]) == 0
    assert capsys.readouterr().out.splitlines() == lines


def test_help_imports_none_of_the_packages_that_commands_need(tmp_path: Path) -> None:
    program = (
        "import sys; from commands.main import main; main(['--help']);"
        "slow = {'jax', 'flax', 'grpc', 'numpy', 'tyro', 'train', 'server'};"
        "print(sorted(slow & {*sys.modules}))"
    )
    done = run([sys.executable, "-P", "-c", program], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_health_and_search_wait_for_no_model_library(tmp_path: Path) -> None:
    program = (
        "import sys; from commands.main import main; code = main(sys.argv[1:]);"
        "print(code, sorted({'jax', 'flax', 'optax', 'train'} & {*sys.modules}))"
    )
    for words in (["health"], ["search", "usb c charger"]):
        free = [*words, "--address", "127.0.0.1:1", "--timeout-seconds", "0.5"]
        done = run([sys.executable, "-P", "-c", program, *free], tmp_path)
        assert done.stdout.splitlines()[-1] == "1 []", done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_under_its_own_name(
    name: str, tmp_path: Path, script: list[str]
) -> None:
    done = run([*script, name, "--help"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: shortlist {name} ")
    assert "python -m" not in done.stdout.splitlines()[0]


def test_a_step_of_training_is_an_argument_of_train(tmp_path: Path, script: list[str]) -> None:
    done = run([*script, "train", "rerank", "--help"], tmp_path)
    assert done.stdout.startswith("usage: shortlist train rerank ")


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == "shortlist 0.1.0\n"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["serv"], "error: no command 'serv': did you mean serve?\n"),
        (["validate", "--data", "missing"], "error: dataset missing: 1 problem"),
        (["check", "--bundle", "missing"], "error: missing"),
        (["serve", "--bundle", "missing"], "error: "),
    ],
)
def test_an_error_is_one_line_and_exits_with_two(
    words: list[str], error: str, tmp_path: Path, script: list[str]
) -> None:
    done = run([*script, *words], tmp_path)
    assert done.returncode == 2
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert f"{line}\n".startswith(error)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("absent", "words", "extra"),
    [("optax", "train", "train"), ("bm25s", "evaluate", "train"), ("flax", "serve", "serve")],
)
def test_a_command_without_its_packages_names_the_extra(
    absent: str, words: str, extra: str, tmp_path: Path
) -> None:
    program = (
        f"import sys; sys.modules[{absent!r}] = None;"
        f"from commands.main import main; sys.exit(main(['{words}', '--bundle', 'missing']))"
    )
    done = run([sys.executable, "-P", "-c", program], tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        f"error: shortlist {words} needs packages that are not installed ({absent}, …): "
        f"pip install 'shortlist[{extra}]'\n"
    )


def test_validate_needs_no_extra(tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [each for several in project["optional-dependencies"].values() for each in several]
    names = {re.split(r"[\[>=; ]", each)[0].replace("-", "_") for each in extras} - {"shortlist"}
    (tmp_path / "items.csv").write_text("item_id,title\na,Lamp\n")
    (tmp_path / "rules.jsonl").write_text("{}\n")
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({sorted(names)}));"
        "from commands.main import main; sys.exit(main(['validate', '--data', '.']))"
    )
    done = run([sys.executable, "-P", "-c", program], tmp_path)
    assert (done.returncode, done.stderr[:21]) == (2, "error: rules.jsonl, l"), done.stderr
    (tmp_path / "rules.jsonl").unlink()
    done = run([sys.executable, "-P", "-c", program], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("1 items; no errors\n")


def test_files_of_the_user_s_folder_take_nothing_over(tmp_path: Path, script: list[str]) -> None:
    folder = tmp_path / "shop"
    for hostile in ("train", "search", "commands", "base", "json"):
        path = folder / f"{hostile}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text("raise SystemExit('taken over')\n")
    for hostile in ("server", "catalog"):
        (folder / hostile).mkdir()
        (folder / hostile / "__init__.py").write_text("raise SystemExit('taken over')\n")
    (folder / "items.csv").write_text("item_id,title\na,USB C charger\n")
    done = run([*script, "validate", "--data", "."], folder)
    assert done.returncode == 0, done.stderr
    assert "1 items" in done.stdout
    done = run([*script, "check", "--bundle", "missing"], folder)
    assert done.returncode == 2
    assert done.stderr.startswith("error: missing")


FEED = "id\ttitle\tprice\tavailability\n1\tUSB C charger\t5 EUR\tin stock\n"


def test_an_export_is_imported_and_valid(tmp_path: Path, script: list[str]) -> None:
    (tmp_path / "feed.tsv").write_text(FEED)
    done = run([*script, "import", "feed.tsv", "--out", "shop"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == [
        "feed.tsv: products of merchant, utf-8",
        "1 row in items",
    ]
    assert "  price → price: 1" in done.stdout.splitlines()
    done = run([*script, "validate", "--data", "shop"], tmp_path)
    assert done.stdout == "shop: 1 items; no errors\n"
    done = run([*script, "import", "missing.tsv", "--out", "other"], tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: missing.tsv: cannot be read (No such file or directory)\n"
    done = run([*script, "import", "feed.tsv", "--out", "other", "--currency", "€"], tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: --currency: '€' is no code of ISO 4217; give one such as EUR\n"


def test_train_from_an_export_imports_it_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "feed.tsv").write_text(FEED)
    trained: list[list[str]] = []

    def train(arguments: Sequence[str]) -> int:
        trained.append(list(arguments))
        return 7

    def from_export(*arguments: str) -> int:
        return train_from_export(arguments, lambda rest: training_options(rest, "train"), train)

    export, out = str(tmp_path / "feed.tsv"), str(tmp_path / "out")
    assert from_export("towers", f"--from={export}", "--out", out, "--seed", "3") == 7
    dataset = str(tmp_path / "out" / "dataset")
    assert trained == [["towers", "--seed", "3", "--out", out, "--data", dataset]]
    assert read_dataset(Path(dataset)).items["title"].to_pylist() == ["USB C charger"]
    assert from_export("--from", "missing", "--out", out) == 2
    assert from_export("--from", export, "--data", "x") == 2
    assert len(trained) == 1
    assert "not with --data" in capsys.readouterr().err


def test_train_takes_several_exports_and_options_of_the_import(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text(FEED)
    (tmp_path / "b.tsv").write_text(FEED.replace("\n1\t", "\n2\t").replace("5 EUR", "1,250"))
    (tmp_path / "c.tsv").write_text(FEED.replace("\n1\t", "\n3\t"))
    exports = [str(tmp_path / name) for name in ("a.tsv", "b.tsv", "c.tsv")]
    out = str(tmp_path / "out")
    trained: list[Sequence[str]] = []
    arguments = ["--from", *exports[:2], "--decimal", "comma", "--from", exports[2], "--out", out]
    code = train_from_export(arguments, trained.append, len)
    dataset = str(tmp_path / "out" / "dataset")
    assert trained == [["--out", out, "--data", dataset]]
    assert code == len(trained[0])
    items = read_dataset(Path(dataset)).items
    assert dict(zip(*items.select(["item_id", "price"]).to_pydict().values(), strict=True)) == {
        "1": 5.0,
        "2": 1.25,
        "3": 5.0,
    }


@pytest.mark.parametrize("wrong", [["--steps", "3"], ["--help"], ["--seed", "many"]])
def test_a_wrong_option_is_found_before_the_import(tmp_path: Path, wrong: list[str]) -> None:
    (tmp_path / "feed.tsv").write_text(FEED)
    arguments = ["--from", str(tmp_path / "feed.tsv"), "--out", str(tmp_path / "out"), *wrong]
    with pytest.raises(SystemExit):
        train_from_export(arguments, lambda rest: training_options(rest, "train"), len)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("given", "tag"), [("en-us", "en"), ("English", "en"), ("", "")])
def test_a_language_may_have_a_region_or_be_a_name(given: str, tag: str) -> None:
    assert ExportConfig((Path("feed.tsv"),), language=given).primary_language() == tag


def test_what_is_no_language_is_refused() -> None:
    with pytest.raises(InputError, match="--language: 'klingonese' is not a language such as en"):
        ExportConfig((Path("feed.tsv"),), language="klingonese")
