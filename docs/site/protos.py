"""Generate reference pages from the comments of `protos/shortlist/v1/*.proto`."""

import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib import util
from pathlib import Path

from google.api import field_behavior_pb2
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    ServiceDescriptorProto,
)

PROTOS = Path(__file__).resolve().parents[2] / "protos"

# Field numbers of the descriptor messages. A comment's path consists of field numbers and indexes.
_MESSAGE, _ENUM, _SERVICE = 4, 5, 6  # in FileDescriptorProto
_FIELD, _NESTED, _NESTED_ENUM = 2, 3, 4  # in DescriptorProto
_VALUE = 2  # in EnumDescriptorProto
_METHOD = 2  # in ServiceDescriptorProto

Comments = Mapping[tuple[int, ...], str]  # each comment, by its path


def pages() -> dict[str, str]:
    """Return the reference pages in Markdown, by the name of the .proto file without suffix."""
    files = _files()
    known = {
        f"{file.package}.{name}": Path(file.name).stem
        for file in files
        for name in [*(m.name for m in file.message_type), *(e.name for e in file.enum_type)]
    }
    return {Path(file.name).stem: "\n".join(_page(file, known)) for file in files}


def _files() -> list[FileDescriptorProto]:
    """Return the descriptors of the contract's own files, with their comments."""
    spec = util.spec_from_file_location("protos_generate", PROTOS / "generate.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(PROTOS / "generate.py")
    generate = util.module_from_spec(spec)
    sys.modules[spec.name] = generate
    spec.loader.exec_module(generate)
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "contract.binpb"
        generate.run_protoc([f"--descriptor_set_out={output}", "--include_source_info"], PROTOS)
        return list(descriptor_pb2.FileDescriptorSet.FromString(output.read_bytes()).file)


def _page(file: FileDescriptorProto, known: Mapping[str, str]) -> Iterator[str]:
    comments = {
        tuple(location.path): location.leading_comments
        for location in file.source_code_info.location
        if location.leading_comments
    }
    yield f"# {Path(file.name).name}\n"
    yield f"`{file.name}`, package `{file.package}`.\n"
    for index, service in enumerate(file.service):
        yield from _service(service, (_SERVICE, index), comments, known)
    for index, message in enumerate(file.message_type):
        yield from _message(message, (_MESSAGE, index), comments, known, message.name)
    for index, enum in enumerate(file.enum_type):
        yield from _enum(enum, (_ENUM, index), comments, enum.name)


def _service(
    service: ServiceDescriptorProto,
    path: tuple[int, ...],
    comments: Comments,
    known: Mapping[str, str],
) -> Iterator[str]:
    yield f"## {service.name} {{ #{service.name} }}\n"
    yield _text(comments, path)
    for index, method in enumerate(service.method):
        request = ("stream " if method.client_streaming else "") + _link(method.input_type, known)
        response = ("stream " if method.server_streaming else "") + _link(method.output_type, known)
        yield f"### {service.name}.{method.name} {{ #{service.name}.{method.name} }}\n"
        yield f"{request} → {response}\n"
        yield _text(comments, (*path, _METHOD, index))


def _message(
    message: DescriptorProto,
    path: tuple[int, ...],
    comments: Comments,
    known: Mapping[str, str],
    name: str,
) -> Iterator[str]:
    if message.options.map_entry:
        return
    yield f"## {name} {{ #{name} }}\n"
    yield _text(comments, path)
    for index, field in enumerate(message.field):
        behaviours = field.options.Extensions[field_behavior_pb2.field_behavior]
        notes = [
            field_behavior_pb2.FieldBehavior.Name(behaviour).lower().replace("_", " ")
            for behaviour in behaviours
        ]
        if field.HasField("oneof_index") and not field.proto3_optional:
            notes.append(f"one of `{message.oneof_decl[field.oneof_index].name}`")
        suffix = f" ({', '.join(notes)})" if notes else ""
        yield f"**`{field.name}`** {_type(field, message, known)} = {field.number}{suffix}\n"
        yield _quoted(_text(comments, (*path, _FIELD, index)))
    for index, nested in enumerate(message.nested_type):
        nested_name = f"{name}.{nested.name}"
        yield from _message(nested, (*path, _NESTED, index), comments, known, nested_name)
    for index, enum in enumerate(message.enum_type):
        yield from _enum(enum, (*path, _NESTED_ENUM, index), comments, f"{name}.{enum.name}")


def _enum(
    enum: EnumDescriptorProto, path: tuple[int, ...], comments: Comments, name: str
) -> Iterator[str]:
    yield f"## {name} {{ #{name} }}\n"
    yield _text(comments, path)
    for index, value in enumerate(enum.value):
        yield f"**`{value.name}`** = {value.number}\n"
        yield _quoted(_text(comments, (*path, _VALUE, index)))


def _type(field: FieldDescriptorProto, message: DescriptorProto, known: Mapping[str, str]) -> str:
    """Return a field's type in .proto syntax, with a link if a reference page describes it."""
    for nested in message.nested_type:
        if nested.options.map_entry and field.type_name.endswith(f".{nested.name}"):
            key, value = (_type(part, nested, known) for part in nested.field)
            return f"map of {key} to {value}"
    if field.type_name:
        name = _link(field.type_name, known)
    else:
        name = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    repeated = field.label == FieldDescriptorProto.LABEL_REPEATED
    return f"repeated {name}" if repeated else f"optional {name}" * field.proto3_optional or name


def _link(type_name: str, known: Mapping[str, str]) -> str:
    full = type_name.removeprefix(".")
    name = full.removeprefix("shortlist.v1.")
    if full in known:
        return f"[{name}]({known[full]}.md#{name})"
    return f"`{name}`"


def _text(comments: Comments, path: tuple[int, ...]) -> str:
    """Return a comment as Markdown, without the space after each `//`."""
    text = re.sub(r"^ ", "", comments.get(path, ""), flags=re.MULTILINE)
    return text.replace("<", "&lt;").strip() + "\n"


def _quoted(text: str) -> str:
    return "".join(
        f":   {line}\n" if not index else f"    {line}\n" if line else "\n"
        for index, line in enumerate(text.splitlines())
    )
