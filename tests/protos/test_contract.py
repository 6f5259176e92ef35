"""The contract itself: stubs, lint, and what counts as a breaking change."""

import shutil
from collections.abc import Callable
from pathlib import Path

import generate
import pytest
from google.api import field_behavior_pb2
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor

from shortlist.v1 import (
    admin_service_pb2,
    catalog_service_pb2,
    error_reason_pb2,
    rerank_service_pb2,
    retrieval_service_pb2,
    search_service_pb2,
)

Edit = Callable[[str, str, str], Path]


@pytest.fixture
def edited(tmp_path: Path) -> Edit:
    """Returns a function that copies the contract with one text of one file replaced."""

    def edit(name: str, old: str, new: str) -> Path:
        shutil.copytree(generate.PROTOS / generate.PACKAGE, tmp_path / generate.PACKAGE)
        file = tmp_path / generate.PACKAGE / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))
        return tmp_path

    return edit


def methods() -> list[MethodDescriptor]:
    files = (
        search_service_pb2,
        retrieval_service_pb2,
        rerank_service_pb2,
        catalog_service_pb2,
        admin_service_pb2,
    )
    return [
        method
        for file in files
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    ]


def test_the_promised_methods_are_there() -> None:
    assert {method.full_name for method in methods()} == {
        "shortlist.v1.SearchService.Search",
        "shortlist.v1.SearchService.StreamSearch",
        "shortlist.v1.RetrievalService.Retrieve",
        "shortlist.v1.RetrievalService.SimilarItems",
        "shortlist.v1.RetrievalService.Embed",
        "shortlist.v1.RerankService.Rerank",
        "shortlist.v1.CatalogService.GetItem",
        "shortlist.v1.CatalogService.BatchGetItems",
        "shortlist.v1.CatalogService.UpsertItems",
        "shortlist.v1.CatalogService.DeleteItems",
        "shortlist.v1.AdminService.GetStatus",
        "shortlist.v1.AdminService.LoadBundle",
        "shortlist.v1.AdminService.RollBack",
    }


def test_every_field_states_its_behaviour() -> None:
    def silent(fields: list[FieldDescriptor]) -> list[str]:
        extension = field_behavior_pb2.field_behavior
        return [field.full_name for field in fields if not field.GetOptions().Extensions[extension]]

    messages = [m for method in methods() for m in (method.input_type, method.output_type)]
    assert [name for message in messages for name in silent(list(message.fields))] == []


def test_every_response_names_the_bundle_that_answered() -> None:
    responses = [method.output_type for method in methods()]
    streamed = search_service_pb2.StreamSearchResponse.DESCRIPTOR  # names it in what it carries
    writes = [r for r in responses if "sequence" in r.fields_by_name]  # of a log, not of a bundle
    answers = [r for r in responses if r not in (streamed, *writes)]
    assert len(writes) == 2
    assert all("bundle_id" in r.fields_by_name for r in answers)
    assert streamed.fields_by_name["search"].message_type in responses


def test_enums_begin_with_an_unspecified_zero() -> None:
    for enum in error_reason_pb2.DESCRIPTOR.enum_types_by_name.values():
        assert enum.values_by_number[0].name.endswith("_UNSPECIFIED")


def test_committed_stubs_are_those_of_the_contract() -> None:
    assert generate.main(["--check"]) == 0


def test_a_stale_stub_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(generate.PROTOS / generate.PACKAGE, tmp_path / generate.PACKAGE)
    monkeypatch.setattr(generate, "PROTOS", tmp_path)
    (tmp_path / generate.PACKAGE / "item_pb2.pyi").write_text("stale")
    (tmp_path / generate.PACKAGE / "vector_pb2.py").unlink()
    (tmp_path / generate.PACKAGE / "removed_service_pb2.py").touch()
    assert generate.main(["--check"]) == 1
    said = capsys.readouterr().err
    assert all(name in said for name in ("item_pb2.pyi", "vector_pb2.py", "removed_service_pb2.py"))
    assert "item_pb2.py," not in said


def test_the_contract_is_lint_clean_and_compatible_with_the_baseline() -> None:
    assert generate.main(["--lint", "--breaking"]) == 0


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("item.proto", "string brand = 4", "string brandName = 4"),
        ("vector.proto", "  // The coordinates, as many", "      // The coordinates, as many"),
        ("stage_report.proto", "// What one stage of the engine did for one call.\n", ""),
    ],
    ids=["a name that is not snake_case", "not formatted", "no comment"],
)
def test_lint_catches_a_violation(edited: Edit, name: str, old: str, new: str) -> None:
    with pytest.raises(generate.ContractError):
        generate.lint(edited(name, old, new))


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("item.proto", "string brand = 4", "string brand = 14"),
        ("item.proto", "string brand = 4", "string maker = 4"),
        ("item.proto", "optional double price = 7", "optional float price = 7"),
        ("error_reason.proto", "INTERNAL_FAULT = 9", "INTERNAL_FAULT = 10"),
        ("search_service.proto", "rpc Search(", "rpc Find("),
    ],
    ids=["field number", "field name", "field type", "enum number", "method name"],
)
def test_a_breaking_change_is_caught(edited: Edit, name: str, old: str, new: str) -> None:
    with pytest.raises(generate.ContractError):
        generate.check_breaking(edited(name, old, new))


def test_an_addition_is_no_breaking_change(edited: Edit) -> None:
    added = "  // The name in the catalogue.\n  string name = 14;\n}\n"
    generate.check_breaking(edited("item.proto", "}\n", added))


def test_the_baseline_names_no_file_outside_of_the_contract() -> None:
    assert b"site-packages" not in generate.BASELINE.read_bytes()
    assert str(generate.REPOSITORY).encode() not in generate.BASELINE.read_bytes()
