"""Put galaxy.yml, a single file that `sources` cannot map, into standard wheels."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CollectionHook(BuildHookInterface):  # type: ignore[type-arg]
    """In an editable install force_include would copy, and the stale copy would win: only standard wheels get it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the file to the wheel being built."""
        if version == "standard":
            build_data["force_include"]["galaxy.yml"] = "ansible_collections/hpc/jupyter/galaxy.yml"
