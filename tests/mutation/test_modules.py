import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_files_of_every_module_exist():
    modules = tomllib.loads((ROOT / "tests" / "mutation" / "modules.toml").read_text())
    assert modules
    for module in modules.values():
        assert set(module) == {"files", "tests"}
        for name in (*module["files"], *module["tests"]):
            assert (ROOT / name).is_file(), name
