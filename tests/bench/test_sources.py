from pathlib import Path

import pytest

from bench.harness.sources import ROOT, commit, digest, files

TOP = 'import numpy\n\ndef f():\n    "Do it."\n    from below import deep\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    texts = {"top": TOP, "below/__init__": "", "below/deep": "X = 1\n", "beside": "Y = 1\n"}
    for name, text in texts.items():
        file = tmp_path / f"{name}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return tmp_path


def test_imports_are_followed_also_in_functions(root):
    names = [str(file.relative_to(root)) for file in files("top", root=root)]
    assert names == ["below/__init__.py", "below/deep.py", "top.py"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("top", TOP.replace("Do it.", "Do something else.") + "\n# a comment\n"),
        ("below/deep", '"""Deep."""\n\nX = 1  # one\n'),
        ("beside", "Y = 2\n"),
    ],
)
def test_docstrings_comments_and_other_modules_do_not_change_the_digest(root, name, text):
    before = digest("top", root=root)
    (root / f"{name}.py").write_text(text)
    assert digest("top", root=root) == before


@pytest.mark.parametrize("name", ["top", "below/deep"])
def test_code_of_the_module_and_of_its_imports_changes_the_digest(root, name):
    before = digest("top", root=root)
    file = root / f"{name}.py"
    file.write_text(file.read_text() + "Z = 2\n")
    assert digest("top", root=root) != before


def test_a_new_module_that_is_imported_changes_the_digest(root):
    before = digest("beside", root=root)
    (root / "beside.py").write_text("import top\nY = 1\n")
    assert digest("beside", root=root) != before


def test_code_that_only_reads_datasets_does_not_count():
    names = {str(file.relative_to(ROOT)) for file in files("bench.index.indexes")}
    assert {"bench/index/vectors.py", "towers/scann.py"} <= names
    unrelated = ("catalog/", "bench/models/", "bench/report/")
    assert not any(name.startswith(unrelated) for name in names)


def test_without_git_the_commit_is_unknown(root):
    assert commit([root / "top.py"], root=root) == "unknown"
