"""The wheel and the tarball hold what they should, and nothing else."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

from tests.package.building import tracked
from tools import release

COLLECTION = "ansible_collections/hpc/jupyter"
SHARED = ("inventory", "meta", "playbooks", "plugins", "roles")


def test_the_wheel_holds_the_command_and_the_collection(wheel: Path) -> None:
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    command = {name.removeprefix("src/") for name in tracked("src")}
    assert packed == command | {f"{COLLECTION}/{name}" for name in tracked("galaxy.yml", *SHARED)}


def test_the_wheel_has_both_commands_and_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = {Path(name).name: name for name in archive.namelist() if ".dist-info/" in name}
        entries = archive.read(info["entry_points.txt"]).decode()
    assert entries.split("\n")[1:3] == ["hpc-jupyter = hpc_jupyter.cli:main", "jupyter-hpc = hpc_jupyter.cli:main"]
    assert "LICENSE" in info


def test_the_tarball_holds_the_collection_alone(tarball: Path) -> None:
    with tarfile.open(tarball) as archive:
        packed = {member.name for member in archive.getmembers() if member.isfile()}
    documents = tracked(":(glob)*.md", "LICENSE", "CHANGELOG.rst", "changelogs/changelog.yaml", "docs")
    assert packed == documents | tracked(*SHARED) | {"MANIFEST.json", "FILES.json"}


def test_what_is_packed_later_is_the_same_byte_for_byte(tmp_path: Path) -> None:
    for moment in (1, 2):
        with tarfile.open(tmp_path / f"{moment}.tar.gz", "w:gz") as archive:
            member = tarfile.TarInfo("MANIFEST.json")
            member.size, member.mtime = 2, moment + 0.5
            archive.addfile(member, io.BytesIO(b"{}"))
        release.steady(tmp_path / f"{moment}.tar.gz", seconds=86400)
    packed, again = ((tmp_path / f"{moment}.tar.gz").read_bytes() for moment in (1, 2))
    assert packed == again
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        [member] = archive.getmembers()
        content = archive.extractfile(member)
        assert content is not None
        assert (member.mtime, content.read()) == (86400, b"{}")
