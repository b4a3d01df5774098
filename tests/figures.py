"""What long runs counted: kept beside the tests' reports, and printed as one small table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

_KEPT = Path(__file__).resolve().parent.parent / ".build" / "test-output" / "figures.json"


def note(run: str, **counted: float | str) -> None:
    """Keep what ``run`` counted, in place of what it counted before."""
    _KEPT.parent.mkdir(parents=True, exist_ok=True)
    _KEPT.write_text(json.dumps({**kept(), run: counted}, indent=2) + "\n", encoding="utf-8")


def kept() -> Mapping[str, Mapping[str, float | str]]:
    """All that is known."""
    if not _KEPT.exists():
        return {}
    known: dict[str, dict[str, float | str]] = json.loads(_KEPT.read_text(encoding="utf-8"))
    return known


def forget(kind: str = "") -> None:
    """Begin anew with all runs whose name begins with ``kind``."""
    left = {run: counted for run, counted in kept().items() if not run.startswith(kind)}
    _KEPT.parent.mkdir(parents=True, exist_ok=True)
    _KEPT.write_text(json.dumps(left, indent=2) + "\n", encoding="utf-8")


def table() -> str:
    """One line for each run."""
    known = kept()
    width = max(map(len, known), default=0)
    return "\n".join(
        f"{run:<{width}}  " + ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in counted.items())
        for run, counted in known.items()
    )
