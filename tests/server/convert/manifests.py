"""Manifests of bundles that are only named."""

from search.bundle import Manifest


def manifest(bundle_id: str = "b", root: str | None = None) -> Manifest:
    """A manifest of a bundle, compacted from another one if `root` names it."""
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
