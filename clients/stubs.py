"""Generate client code in other languages from the protos.

    python clients/stubs.py node DIR   TypeScript types and clients for @grpc/grpc-js
    python clients/stubs.py go DIR     package gen/shortlist/v1 of the Go module shortlist.example

The script needs the `dev` extra and the generator of the language, but no network. For Node, run
`npm install` in clients/node, or set NODE_MODULES to another node_modules directory. For Go, put
protoc-gen-go and protoc-gen-go-grpc on PATH.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

CLIENTS = Path(__file__).resolve().parent
sys.path.insert(0, str(CLIENTS.parent / "protos"))

import generate as contract  # noqa: E402 - protos/generate.py, found by the path above

# The protos of error details. No proto of ours imports them, so they are generated explicitly.
DETAILS = ("google/rpc/status.proto", "google/rpc/error_details.proto")
# Options of ts-proto: absent messages and optional scalars are undefined; a oneof is a union type.
TS_OPTIONS = ",".join(
    (
        "outputServices=grpc-js",
        "oneof=unions-value",
        "useExactTypes=false",
        "esModuleInterop=true",
        "importSuffix=.js",
    )
)
# The Go module of the generated package. The protos name none, because they fit every language.
GO_MODULE = "shortlist.example"
GO_PACKAGE = f"{GO_MODULE}/gen/shortlist/v1;shortlistv1"


class ToolMissingError(Exception):
    """A generator is not installed."""


def node(out: Path) -> None:
    """Write TypeScript under `out`."""
    modules = Path(os.environ.get("NODE_MODULES") or CLIENTS / "node" / "node_modules")
    plugin = modules / ".bin" / "protoc-gen-ts_proto"
    if not plugin.exists():
        raise ToolMissingError(f"{plugin} is missing: run npm install in clients/node")
    options = [f"--plugin=protoc-gen-ts_proto={plugin}", f"--ts_proto_opt={TS_OPTIONS}"]
    _run([*options, f"--ts_proto_out={out}", *DETAILS])


def go(out: Path) -> None:
    """Write Go under `out`."""
    options = []
    for plugin in ("go", "go-grpc"):
        if shutil.which(f"protoc-gen-{plugin}") is None:
            raise ToolMissingError(f"protoc-gen-{plugin} is not on PATH")
        options += [f"--{plugin}_out={out}", f"--{plugin}_opt=module={GO_MODULE}"]
        options += [
            f"--{plugin}_opt=M{file.relative_to(contract.PROTOS)}={GO_PACKAGE}"
            for file in (contract.PROTOS / contract.PACKAGE).glob("*.proto")
        ]
    _run(options)


def _run(arguments: Sequence[str]) -> None:
    contract.run_protoc(arguments, contract.PROTOS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Generate one language; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("language", choices=["node", "go"])
    parser.add_argument("out", type=Path, help="the directory to write to")
    flags = parser.parse_args(arguments)
    flags.out.mkdir(parents=True, exist_ok=True)
    try:
        {"node": node, "go": go}[flags.language](flags.out)
    except (ToolMissingError, contract.ContractError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
