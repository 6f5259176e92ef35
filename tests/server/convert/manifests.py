"""Manifests of bundles that have no files."""

from search.bundle import Manifest


def manifest(bundle_id: str = "b", root: str | None = None) -> Manifest:
    """Return a manifest. With `root`, its bundle is compacted, starting from the bundle `root`."""
    return Manifest(
        bundle_id=bundle_id,
        created="2024-01-31T09:30:00Z",
        as_of=None,
        numerics="float32",
        built_from={},
        reports={},
        metrics={},
        files={},
        root=root,
    )
