"""The contract: generated files, lint and breaking changes."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import generate
import pytest
from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import Message

from shortlist.v1 import (
    admin_service_pb2,
    catalog_service_pb2,
    curation_service_pb2,
    error_reason_pb2,
    feedback_service_pb2,
    recommend_service_pb2,
    rerank_service_pb2,
    retrieval_service_pb2,
    search_service_pb2,
    suggestion_service_pb2,
)
from shortlist.v1.item_pb2 import Item

Edit = Callable[[str, str, str], Path]


@pytest.fixture
def edited(tmp_path: Path) -> Edit:
    """Return a function that copies the contract and replaces one text in one file of the copy."""

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
        suggestion_service_pb2,
        recommend_service_pb2,
        catalog_service_pb2,
        curation_service_pb2,
        feedback_service_pb2,
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
        "shortlist.v1.SuggestionService.Suggest",
        "shortlist.v1.RecommendService.Recommend",
        "shortlist.v1.RecommendService.SimilarItems",
        "shortlist.v1.RecommendService.ComplementaryItems",
        "shortlist.v1.RecommendService.GetProfile",
        "shortlist.v1.RecommendService.GetQuestions",
        "shortlist.v1.RecommendService.DeleteUser",
        "shortlist.v1.RecommendService.SetOptOut",
        "shortlist.v1.RecommendService.JoinSession",
        "shortlist.v1.CatalogService.GetItem",
        "shortlist.v1.CatalogService.BatchGetItems",
        "shortlist.v1.CatalogService.ListItems",
        "shortlist.v1.CatalogService.UpsertItems",
        "shortlist.v1.CatalogService.DeleteItems",
        "shortlist.v1.CurationService.ListCurations",
        "shortlist.v1.CurationService.SetCuration",
        "shortlist.v1.CurationService.DeleteCuration",
        "shortlist.v1.CurationService.UndoCuration",
        "shortlist.v1.FeedbackService.RecordEvents",
        "shortlist.v1.FeedbackService.StreamEvents",
        "shortlist.v1.AdminService.GetStatus",
        "shortlist.v1.AdminService.LoadBundle",
        "shortlist.v1.AdminService.RollBack",
    }


def reached_from(roots: Iterable[Descriptor]) -> list[Descriptor]:
    """Return the contract's messages that some root messages contain, and the roots themselves."""
    reached: dict[str, Descriptor] = {}
    waiting = list(roots)
    while waiting:
        message = waiting.pop()
        if not message.file.package.startswith("shortlist.") or message.full_name in reached:
            continue
        if not message.GetOptions().map_entry:
            reached[message.full_name] = message
        waiting += [field.message_type for field in message.fields if field.message_type]
    return list(reached.values())


def behaviours(field: FieldDescriptor) -> set[str]:
    kinds = field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
    return {field_behavior_pb2.FieldBehavior.Name(kind) for kind in kinds}


def test_every_field_of_a_request_is_required_or_optional() -> None:
    messages = reached_from(method.input_type for method in methods())
    assert {"Filter", "Value", "Item", "Vector", "Pin"} <= {message.name for message in messages}
    other = {
        field.full_name: behaviours(field)
        for message in messages
        for field in message.fields
        if behaviours(field) not in ({"REQUIRED"}, {"OPTIONAL"})
    }
    assert other == {}


def test_every_field_of_a_response_that_no_request_has_is_output_only() -> None:
    asked = {message.full_name for message in reached_from(m.input_type for m in methods())}
    other = {
        field.full_name: behaviours(field)
        for message in reached_from(method.output_type for method in methods())
        if message.full_name not in asked
        for field in message.fields
        if behaviours(field) != {"OUTPUT_ONLY"}
    }
    assert other == {}


def undocumented(root: Path, image: Path) -> tuple[list[str], int]:
    """Return the contract elements under `root` that lack a comment, and the number of elements."""
    generate.write_image(image, root, comments=True)
    bare, count = [], 0
    for file in FileDescriptorSet.FromString(image.read_bytes()).file:
        if not file.package.startswith("shortlist."):
            continue
        comments = {
            tuple(location.path): location.leading_comments.strip()
            for location in file.source_code_info.location
        }
        elements = list(elements_of(file, (), file.package))
        count += len(elements)
        bare += [name for path, name in elements if not comments.get(path)]
    return bare, count


def elements_of(
    parent: Message, path: tuple[int, ...], name: str
) -> Iterator[tuple[tuple[int, ...], str]]:
    """Yield messages, fields, oneofs, enums, values, services and methods, each with its path.

    Skip the synthetic oneofs of `optional` fields, which are not in the source.
    """
    optional = {f.oneof_index for f in getattr(parent, "field", ()) if f.proto3_optional}
    for kind in (
        "message_type",
        "nested_type",
        "enum_type",
        "service",
        "field",
        "value",
        "method",
        "oneof_decl",
    ):
        for index, child in enumerate(getattr(parent, kind, ())):
            if kind == "oneof_decl" and index in optional:
                continue
            if kind == "nested_type" and child.options.map_entry:
                continue
            child_path = (*path, parent.DESCRIPTOR.fields_by_name[kind].number, index)
            yield child_path, f"{name}.{child.name}"
            yield from elements_of(child, child_path, f"{name}.{child.name}")


def test_every_element_has_a_comment(tmp_path: Path) -> None:
    bare, count = undocumented(generate.PROTOS, tmp_path / "contract.binpb")
    assert bare == []
    assert count > 300


METHOD = "  rpc Drop(GetItemRequest) returns (GetItemResponse);\n}\n"
REQUEST = "// The request of RerankService.Rerank.\n"


@pytest.mark.parametrize(
    ("file", "old", "new", "name"),
    [
        ("vector.proto", "message Vector {", "message Other {}\n\nmessage Vector {", "Vector"),
        ("item.proto", "  // The maker of the product, or the name under which it is sold.\n", "",
         "Item.brand"),
        ("filter.proto", "  // The lower bound. Absent: there is no lower bound.\n", "",
         "Interval.lower"),
        ("rules.proto", "// Why a pin was left out.\n", "", "PinProblem"),
        ("channel.proto", "  // Items that have words in common with the query.\n", "",
         "Channel.CHANNEL_LEXICAL"),
        ("rerank_service.proto", REQUEST, f"service Other {{}}\n\n{REQUEST}", "Other"),
        ("catalog_service.proto", "}\n", METHOD, "CatalogService.Drop"),
    ],
    ids=["message", "field", "oneof", "enum", "value", "service", "method"],
)  # fmt: skip
def test_an_element_without_a_comment_is_found(
    edited: Edit, tmp_path: Path, file: str, old: str, new: str, name: str
) -> None:
    bare, _ = undocumented(edited(file, old, new), tmp_path / "contract.binpb")
    assert bare == [f"shortlist.v1.{name}"]


def test_every_answer_has_its_coverage_and_stages() -> None:
    answers = [
        method.output_type
        for method in methods()
        if method.containing_service.name != "AdminService" and "Stream" not in method.name
        and "sequence" not in method.output_type.fields_by_name
    ]  # fmt: skip
    assert answers
    for answer in answers:
        assert answer.fields_by_name["coverage"].message_type.name == "Coverage"
        assert answer.fields_by_name["stages"].message_type.name == "StageReport"


def test_every_response_names_the_bundle_that_answered() -> None:
    responses = [method.output_type for method in methods()]
    # In a streamed response, the field `search` has the bundle id. Writes belong to no bundle.
    streamed = search_service_pb2.StreamSearchResponse.DESCRIPTOR
    writes = [r for r in responses if "sequence" in r.fields_by_name]
    answers = [r for r in responses if r not in (streamed, *writes)]
    assert writes
    assert all("bundle_id" in r.fields_by_name for r in answers)
    assert streamed.fields_by_name["search"].message_type in responses


def test_enums_begin_with_an_unspecified_zero() -> None:
    for enum in error_reason_pb2.DESCRIPTOR.enum_types_by_name.values():
        assert enum.values_by_number[0].name.endswith("_UNSPECIFIED")


def test_committed_generated_files_are_fresh() -> None:
    assert generate.main(["--check"]) == 0


def copy_protos(directory: Path) -> Path:
    shutil.copytree(
        generate.PROTOS / "shortlist",
        directory / "shortlist",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return directory


def test_a_stale_stub_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = copy_protos(tmp_path)
    (root / generate.PACKAGE / "item_pb2.pyi").write_text("stale")
    (root / generate.PACKAGE / "vector_pb2.py").unlink()
    (root / generate.PACKAGE / "removed_service_pb2.py").touch()
    assert generate.main(["--check"], root) == 1
    output = capsys.readouterr().err
    assert all(
        name in output for name in ("item_pb2.pyi", "vector_pb2.py", "removed_service_pb2.py")
    )
    assert "item_pb2.py," not in output
    assert "shortlist/client" not in output


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("client/connection.py", "timeout_seconds: float = 10.0", "timeout_seconds: float = 5.0"),
        ("aio/connection.py", "timeout_seconds: float = 10.0", "timeout_seconds: float = 5.0"),
        ("aio/__init__.py", "Encode query texts", "Encode queries"),
    ],
    ids=["client edited by hand", "code not generated", "docstring not generated"],
)
def test_a_stale_client_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, old: str, new: str
) -> None:
    root = copy_protos(tmp_path)
    file = root / "shortlist" / name
    assert old in file.read_text("utf-8")
    file.write_text(file.read_text("utf-8").replace(old, new, 1), "utf-8")
    assert generate.main(["--check"], root) == 1
    stale = f"shortlist/client/{file.name}"
    assert capsys.readouterr().err.endswith(f": {stale}\n")
    assert generate.main([], root) == 0
    assert generate.main(["--check"], root) == 0


def test_asyncio_code_that_no_rule_translates_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = copy_protos(tmp_path)
    file = root / "shortlist" / "aio" / "connection.py"
    file.write_text(file.read_text("utf-8") + "\nLOCK = asyncio.Lock()\n", "utf-8")
    assert generate.main(["--check"], root) == 1
    assert "LOCK = asyncio.Lock()" in capsys.readouterr().err


def test_the_contract_is_lint_clean_and_compatible_with_the_baseline() -> None:
    assert generate.main(["--lint", "--breaking"]) == 0


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("item.proto", "string brand = 4", "string brandName = 4"),
        ("vector.proto", "  // The coordinates; their", "      // The coordinates; their"),
        ("stage_report.proto", "// A report of one stage of the engine in one call.\n", ""),
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
    unused = max(field.number for field in Item.DESCRIPTOR.fields) + 1
    added = f"  // The name in the catalogue.\n  string name = {unused};\n}}\n"
    generate.check_breaking(edited("item.proto", "}\n", added))


def test_the_baseline_names_no_file_outside_of_the_contract() -> None:
    assert b"site-packages" not in generate.BASELINE.read_bytes()
    assert str(generate.REPOSITORY).encode() not in generate.BASELINE.read_bytes()
