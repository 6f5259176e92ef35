"""Generate code from the contract and from the asyncio client, and check contract and code.

    python protos/generate.py              write the Python stubs and the threaded client
    python protos/generate.py --check      fail if a committed generated file is stale
    python protos/generate.py --lint       run buf lint (STANDARD and COMMENTS) and buf format
    python protos/generate.py --breaking   fail on a breaking change against baseline.binpb
    python protos/generate.py --baseline   replace the baseline with the current contract

The contract is `protos/shortlist/v1/*.proto`; the stubs are in the same directory. The threaded
client `shortlist/client` is generated from `shortlist/aio` (see `sync_client.py`). The script
needs the `dev` extra, but no network.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import google.api
import sync_client
from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parent
REPOSITORY = PROTOS.parent
PACKAGE = Path("shortlist/v1")
BASELINE = PROTOS / "baseline.binpb"
ASYNC_CLIENT = Path("shortlist/aio")
SYNC_CLIENT = Path("shortlist/client")

# The googleapis-common-protos wheel has the .proto files of google/api and google/type; the
# grpcio-tools wheel has those of google/protobuf.
GOOGLEAPIS = Path(next(iter(google.api.__path__))).parents[1]
WELL_KNOWN = Path(protoc.__file__).with_name("_proto")
STUB_SUFFIXES = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")


class ContractError(Exception):
    """The contract is invalid, or a generated file is stale or cannot be made."""


def executable(name: str) -> Path:
    """Return a program's path, preferably in the Python environment that runs this script."""
    path = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if path is None:
        raise ContractError(f"{name} is not installed: pip install -e '.[dev]'")
    return Path(path)


def run_protoc(arguments: Sequence[str], root: Path) -> None:
    """Run protoc over every .proto file of the contract under `root`."""
    sources = sorted(str(path) for path in (root / PACKAGE).glob("*.proto"))
    includes = [f"-I{directory}" for directory in (root, GOOGLEAPIS, WELL_KNOWN)]
    if protoc.main(["protoc", *includes, *arguments, *sources]) != 0:
        raise ContractError("protoc failed")


def write_generated(target: Path, root: Path) -> None:
    """Write every generated file under `target`, from the sources under `root`."""
    write_stubs(target, root)
    (target / SYNC_CLIENT).mkdir(exist_ok=True)
    for path in sorted((root / ASYNC_CLIENT).glob("*.py")):
        texts = sync_client.TEXTS if path.name == "__init__.py" else ()
        try:
            source = sync_client.sync_source(path.read_text("utf-8"), texts)
        except sync_client.UnknownAsyncCodeError as error:
            raise ContractError(f"{ASYNC_CLIENT / path.name}: {error}") from error
        (target / SYNC_CLIENT / path.name).write_text(run_ruff(source), "utf-8")


def write_stubs(target: Path, root: Path) -> None:
    """Write the stubs of the contract under `target`, and remove stubs of deleted .proto files."""
    for stub in stubs(target):
        stub.unlink()
    outputs = [f"--{kind}_out={target}" for kind in ("python", "grpc_python")]
    outputs += [f"--{kind}_out=quiet:{target}" for kind in ("mypy", "mypy_grpc")]
    plugins = [
        f"--plugin={name}={executable(name)}"
        for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")
    ]
    run_protoc([*plugins, *outputs], root)
    for stub in stubs(target):  # protoc writes an empty gRPC stub for a file without services
        if "_pb2_grpc" in stub.name and "service" not in stub.name:
            stub.unlink()


def stubs(directory: Path) -> list[Path]:
    """Return the stubs under `directory`, sorted."""
    return sorted(
        path for path in (directory / PACKAGE).glob("*") if path.name.endswith(STUB_SUFFIXES)
    )


def run_ruff(source: str) -> str:
    """Sort the imports of Python source, and format it with the repository's settings."""
    configured = [
        "--config",
        REPOSITORY / "pyproject.toml",
        "--stdin-filename",
        SYNC_CLIENT / "x.py",
        "-",
    ]
    for arguments in (["check", "--fix", "--quiet", "--select", "I"], ["format", "--quiet"]):
        command = [str(word) for word in (executable("ruff"), *arguments, *configured)]
        done = subprocess.run(  # noqa: S603 - our own command
            command, input=source, capture_output=True, text=True, cwd=PROTOS, check=False
        )
        if done.returncode != 0:
            raise ContractError(f"ruff {arguments[0]} failed: {done.stdout}{done.stderr}")
        source = done.stdout
    return source


def check_generated(root: Path = PROTOS) -> None:
    """Raise ContractError, naming the files, if a generated file under `root` is stale."""
    with tempfile.TemporaryDirectory() as temporary:
        fresh = Path(temporary)
        (fresh / PACKAGE).mkdir(parents=True)
        write_generated(fresh, root)
        expected = generated_files(fresh)
    committed = generated_files(root)
    stale = sorted(
        str(name)
        for name in expected.keys() | committed.keys()
        if expected.get(name) != committed.get(name)
    )
    if stale:
        raise ContractError(
            "stale files, run `python protos/generate.py`: " + ", ".join(stale),
        )


def generated_files(root: Path) -> dict[Path, bytes]:
    """Return the contents of the generated files under `root`, by path relative to `root`."""
    paths = [*stubs(root), *(root / SYNC_CLIENT).glob("*.py")]
    return {path.relative_to(root): path.read_bytes() for path in paths}


def write_image(target: Path, root: Path, *, comments: bool) -> None:
    """Write the contract under `root` and its imports as one FileDescriptorSet."""
    source_info = ["--include_source_info"] if comments else []
    run_protoc(["--include_imports", *source_info, f"--descriptor_set_out={target}"], root)


def run_buf(*arguments: str | Path) -> None:
    """Run buf with the repository's configuration; raise ContractError if it reports a problem."""
    command = [str(executable("buf")), *map(str, arguments)]
    if subprocess.run(command, cwd=REPOSITORY, check=False).returncode != 0:  # noqa: S603 - ours
        raise ContractError(f"buf {arguments[0]} found the problems above")


def lint(root: Path = PROTOS) -> None:
    """Raise ContractError unless the contract under `root` is lint clean and formatted."""
    with tempfile.TemporaryDirectory() as temporary:
        image = Path(temporary) / "contract.binpb"
        write_image(image, root, comments=True)
        run_buf("lint", image, "--config", REPOSITORY / "buf.yaml", "--path", PACKAGE)
    run_buf("format", root, "--diff", "--exit-code")


def check_breaking(root: Path = PROTOS, baseline: Path = BASELINE) -> None:
    """Raise ContractError if the contract under `root` breaks clients of the baseline."""
    with tempfile.TemporaryDirectory() as temporary:
        image = Path(temporary) / "contract.binpb"
        write_image(image, root, comments=True)
        configured = ("--config", REPOSITORY / "buf.yaml", "--path", PACKAGE)
        run_buf("breaking", image, "--against", baseline, *configured)


def main(arguments: Sequence[str] | None = None, root: Path = PROTOS) -> int:
    """Generate or check as the flags say, with the sources under `root`; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="fail if a generated file is stale")
    parser.add_argument("--lint", action="store_true", help="lint the contract")
    parser.add_argument("--breaking", action="store_true", help="compare with the baseline")
    parser.add_argument("--baseline", action="store_true", help="replace the baseline")
    flags = parser.parse_args(arguments)
    try:
        if flags.check:
            check_generated(root)
        if flags.lint:
            lint(root)
        if flags.breaking:
            check_breaking(root)
        if flags.baseline:
            write_image(BASELINE, root, comments=False)
        if not any(vars(flags).values()):
            write_generated(root, root)
    except ContractError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
