"""`make release` in a checkout of its own: what it makes, and from what it makes nothing."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from tests import released
from tests.package.building import ROOT, tracked

NEXT = "9.8.7"
NEWS = "- launch - something that only this release has."


def _run(checkout: Path, argv: Sequence[str], *, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(argv, cwd=checkout, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 or not check, done.stdout + done.stderr
    return done


def _git(checkout: Path, *arguments: str) -> str:
    somebody = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
    return _run(checkout, ["git", *somebody, *arguments]).stdout


def _release(checkout: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return _run(checkout, [sys.executable, "tools/release.py", *arguments], check=check)


def _of_this_release(changelog: str) -> str:
    return changelog.partition(f"v{NEXT}\n")[2].partition("\nv")[0]


@pytest.fixture(name="checkout", scope="module")
def _checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files as they are here, committed, with one fragment more."""
    place = tmp_path_factory.mktemp("release") / "checkout"
    for name in tracked():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, place / name)
    (place / "changelogs/fragments/of-this-release.yml").write_text(f"minor_changes:\n  {NEWS}\n")
    _git(place, "init", "--quiet")
    _git(place, "add", "--all")
    _git(place, "commit", "--quiet", "--message", "all of it")
    return place


@pytest.fixture(name="made", scope="module")
def _made(checkout: Path) -> Path:
    _release(checkout, "make", NEXT)
    return checkout / "dist"


@pytest.mark.parametrize(("argument", "refusal"), [
    ("9.8", "'9.8' is not a version. Write one such as 0.2.0\n"),
    ("v9.8.7", "'v9.8.7' is not a version. Write one such as 0.2.0\n"),
])  # fmt: skip
def test_what_is_no_version_is_refused(checkout: Path, argument: str, refusal: str) -> None:
    done = _release(checkout, "make", argument, check=False)
    assert (done.returncode, done.stderr) == (1, refusal)


def test_what_is_not_committed_is_in_no_release(checkout: Path) -> None:
    (checkout / "README.md").write_text("another one\n")
    (checkout / "new").touch()
    try:
        done = _release(checkout, "make", NEXT, check=False)
    finally:
        (checkout / "new").unlink()
        _git(checkout, "checkout", "--quiet", "README.md")
    text = "a release is made of what is committed, and this is not:\n M README.md\n?? new\n"
    assert (done.returncode, done.stderr) == (1, text)


def test_a_release_is_a_wheel_a_tarball_and_their_sums(made: Path) -> None:
    names = [f"hpc-jupyter-{NEXT}.tar.gz", f"hpc_jupyter-{NEXT}-py3-none-any.whl"]
    assert sorted(path.name for path in made.iterdir()) == ["SHA256SUMS", *names]
    sums = [f"{hashlib.sha256((made / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    assert (made / "SHA256SUMS").read_text() == "".join(sums)


def test_both_say_what_they_are(made: Path) -> None:
    with tarfile.open(made / f"hpc-jupyter-{NEXT}.tar.gz") as tarball:
        changelog = tarball.extractfile("CHANGELOG.rst")
        assert changelog is not None
        assert NEWS in _of_this_release(changelog.read().decode())
    with zipfile.ZipFile(made / f"hpc_jupyter-{NEXT}-py3-none-any.whl") as wheel:
        collection = "ansible_collections/hpc/jupyter"
        assert yaml.safe_load(wheel.read(f"{collection}/galaxy.yml"))["version"] == NEXT
        assert f'VERSION = "{NEXT}"'.encode() in wheel.read(f"{collection}/plugins/module_utils/layout.py")


def test_making_one_changes_nothing_here_and_writing_puts_it_into_the_checkout(checkout: Path, made: Path) -> None:
    assert made.is_dir()
    assert _git(checkout, "status", "--porcelain") == ""
    _release(checkout, "write")
    assert NEWS in _of_this_release((checkout / "CHANGELOG.rst").read_text(encoding="utf-8"))
    assert re.search(rf"^version: {re.escape(NEXT)}$", (checkout / "galaxy.yml").read_text(), re.M)
    assert list((checkout / "changelogs/fragments").glob("*.yml")) == []


def test_what_is_played_from_a_release_is_there_and_from_the_tarball_needs_no_command() -> None:
    names = (*released.EVERY_DAY, *released.BY_PLAYBOOKS)
    texts = {name: (ROOT / f"tests/lab/test_{name}.py").read_text(encoding="utf-8") for name in names}
    commanding = {name for name, text in texts.items() if re.search(r"\.cli\(|\.connected\(|bin/hpc-jupyter", text)}
    assert commanding.isdisjoint(released.BY_PLAYBOOKS)
    assert "first" in commanding
