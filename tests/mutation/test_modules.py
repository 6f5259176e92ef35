import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def tables(name: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / "tests" / "mutation" / name).read_text())


def test_the_files_of_every_module_exist():
    modules = tables("modules.toml")
    assert modules
    for module in modules.values():
        assert set(module) == {"files", "tests"}
        for name in (*module["files"], *module["tests"]):
            assert (ROOT / name).is_file(), name


def test_every_equivalent_mutant_changes_a_file_of_a_module_and_has_a_reason():
    files = {name for module in tables("modules.toml").values() for name in module["files"]}
    for entry in tables("equivalent.toml")["equivalent"]:
        assert set(entry) == {"file", "line", "mutants", "reason"}
        assert entry["file"] in files
        assert entry["mutants"]
        assert entry["reason"].endswith(".")
