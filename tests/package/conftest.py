"""The built wheel and tarball, each installed in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import artifacts
from tests.package.building import ROOT, Environment


def _run(argv: Sequence[str | Path]) -> None:
    done = subprocess.run(argv, cwd=ROOT, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel."""
    return artifacts.wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collection's tarball."""
    return artifacts.tarball(tmp_path_factory.mktemp("tarball"))


def _environment(place: Path, *packages: str, collections: Path | str) -> Environment:
    _run([sys.executable, "-m", "venv", "--without-pip", place / "venv"])
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(place / "venv/bin/python")]
    _run([*pip, "install", "--quiet", *packages])
    (place / "home").mkdir()
    return Environment(place / "venv", place / "home", str(collections))


@pytest.fixture(scope="session")
def from_wheel(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheel and what pip finds for its ranges."""
    return _environment(tmp_path_factory.mktemp("from-wheel"), str(wheel), collections=os.devnull)


@pytest.fixture(scope="session")
def from_tarball(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with ansible-core alone, and the collection installed from the tarball without a network."""
    place = tmp_path_factory.mktemp("from-tarball")
    made = _environment(place, "ansible-core>=2.19,<2.20", collections=place / "collections")
    made.run("ansible-galaxy", "collection", "install", "--offline", "-p", str(place / "collections"), str(tarball))
    return made
