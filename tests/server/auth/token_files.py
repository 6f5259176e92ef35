"""Token files for tests."""

import hashlib
from pathlib import Path


def line(role: str, token: str) -> str:
    """Return the line of a token file that gives a token a role."""
    return f"{role}: {hashlib.sha256(token.encode()).hexdigest()}\n"


def write(path: Path, *lines: str) -> Path:
    """Replace a token file atomically; only its owner can read the new file."""
    fresh = path.with_name("fresh")
    fresh.write_text("".join(lines))
    fresh.chmod(0o600)
    return fresh.replace(path)
