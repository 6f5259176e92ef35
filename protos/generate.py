"""Makes and checks what follows from the contract in `protos/shortlist/v1/*.proto`.

    python protos/generate.py              write the Python stubs beside the .proto files
    python protos/generate.py --check      fail when the committed stubs are stale
    python protos/generate.py --lint       buf lint (STANDARD and COMMENTS) and buf format
    python protos/generate.py --breaking   fail on a breaking change against baseline.binpb
    python protos/generate.py --baseline   make the contract of today the baseline, deliberately

Needs the `dev` extra and no network.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import google.api
from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parent
REPOSITORY = PROTOS.parent
PACKAGE = Path("shortlist/v1")
BASELINE = PROTOS / "baseline.binpb"

# The wheel of googleapis-common-protos carries google/api and google/type as .proto files, that of
# grpcio-tools carries google/protobuf.
GOOGLEAPIS = Path(next(iter(google.api.__path__))).parents[1]
WELL_KNOWN = Path(protoc.__file__).with_name("_proto")
STUB_SUFFIXES = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")


class ContractError(Exception):
    """The contract, or something made from it, is not as it should be."""


def executable(name: str) -> Path:
    """Returns the program of that name from the environment that runs this script."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        raise ContractError(f"{name} is not installed: pip install -e '.[dev]'")
    return Path(found)


def run_protoc(arguments: Sequence[str], root: Path) -> None:
    """Runs protoc over every .proto of the contract that lies under `root`."""
    sources = sorted(str(path) for path in (root / PACKAGE).glob("*.proto"))
    includes = [f"-I{directory}" for directory in (root, GOOGLEAPIS, WELL_KNOWN)]
    if protoc.main(["protoc", *includes, *arguments, *sources]) != 0:
        raise ContractError("protoc failed")


def write_stubs(directory: Path) -> None:
    """Writes the stubs of the whole contract under `directory`, and removes those left over."""
    for stub in stubs(directory):
        stub.unlink()
    outputs = [f"--{kind}_out={directory}" for kind in ("python", "grpc_python")]
    outputs += [f"--{kind}_out=quiet:{directory}" for kind in ("mypy", "mypy_grpc")]
    plugins = [
        f"--plugin={name}={executable(name)}"
        for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")
    ]
    run_protoc([*plugins, *outputs], PROTOS)
    for stub in stubs(directory):  # a file without services has nothing to say about gRPC
        if "_pb2_grpc" in stub.name and "service" not in stub.name:
            stub.unlink()


def stubs(directory: Path) -> list[Path]:
    """Returns the generated files under `directory`, sorted."""
    return sorted(
        path for path in (directory / PACKAGE).glob("*") if path.name.endswith(STUB_SUFFIXES)
    )


def check_stubs() -> None:
    """Raises ContractError, naming the files, unless the committed stubs are what we would make."""
    with tempfile.TemporaryDirectory() as temporary:
        fresh = Path(temporary)
        write_stubs(fresh)
        expected = {path.relative_to(fresh): path.read_bytes() for path in stubs(fresh)}
    committed = {path.relative_to(PROTOS): path.read_bytes() for path in stubs(PROTOS)}
    stale = sorted(
        str(name)
        for name in expected.keys() | committed.keys()
        if expected.get(name) != committed.get(name)
    )
    if stale:
        raise ContractError(
            "stale stubs, run `python protos/generate.py`: " + ", ".join(stale),
        )


def write_image(target: Path, root: Path, *, comments: bool) -> None:
    """Writes the contract under `root`, with what it imports, as one FileDescriptorSet."""
    keep = ["--include_source_info"] if comments else []
    run_protoc(["--include_imports", *keep, f"--descriptor_set_out={target}"], root)


def run_buf(*arguments: str | Path) -> None:
    """Runs buf with our configuration; raises ContractError when it finds something."""
    command = [str(executable("buf")), *map(str, arguments)]
    if subprocess.run(command, cwd=REPOSITORY, check=False).returncode != 0:  # noqa: S603 - ours
        raise ContractError(f"buf {arguments[0]} found the problems above")


def lint(root: Path = PROTOS) -> None:
    """Raises ContractError unless the contract under `root` is lint clean and formatted."""
    with tempfile.TemporaryDirectory() as temporary:
        image = Path(temporary) / "contract.binpb"
        write_image(image, root, comments=True)
        run_buf("lint", image, "--config", REPOSITORY / "buf.yaml", "--path", PACKAGE)
    run_buf("format", root, "--diff", "--exit-code")


def check_breaking(root: Path = PROTOS, baseline: Path = BASELINE) -> None:
    """Raises ContractError when the contract under `root` breaks clients of the baseline."""
    with tempfile.TemporaryDirectory() as temporary:
        image = Path(temporary) / "contract.binpb"
        write_image(image, root, comments=True)
        configured = ["--config", REPOSITORY / "buf.yaml", "--path", PACKAGE]
        run_buf("breaking", image, "--against", baseline, *configured)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what the flags ask for; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="fail when the stubs are stale")
    parser.add_argument("--lint", action="store_true", help="lint the contract")
    parser.add_argument("--breaking", action="store_true", help="compare with the baseline")
    parser.add_argument("--baseline", action="store_true", help="rewrite the baseline")
    asked = parser.parse_args(arguments)
    try:
        if asked.check:
            check_stubs()
        if asked.lint:
            lint()
        if asked.breaking:
            check_breaking()
        if asked.baseline:
            write_image(BASELINE, PROTOS, comments=False)
        if not any(vars(asked).values()):
            write_stubs(PROTOS)
    except ContractError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
