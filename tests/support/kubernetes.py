"""What Kubernetes says of manifests: its own schemas, of every version that has native sidecars."""

from functools import cache
from typing import Any, Final

from kubernetes_validate import utils as schemas

CUSTOM: Final = {"PodMonitor", "PrometheusRule"}
"""Kinds of the Prometheus operator, which Kubernetes does not know."""
OLDEST_MINOR: Final = 29


Invalid: Final = schemas.ValidationError
"""A manifest is not what Kubernetes expects."""


@cache
def versions(oldest_minor: int = OLDEST_MINOR) -> tuple[str, ...]:
    """The versions whose schemas are here, from the oldest that is promised."""
    return tuple(
        version for version in schemas.all_versions() if int(version.split(".")[1]) >= oldest_minor
    )


def check(document: dict[str, Any], oldest_minor: int = OLDEST_MINOR) -> None:
    """Validate a manifest against each version; an unknown field is an error."""
    for version in versions(oldest_minor):
        schemas.validate(document, version, strict=True)
