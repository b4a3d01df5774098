"""Make a release in dist/ of what is committed: changelog, wheel, collection tarball, their SHA-256.

usage: tools/release.py make [VERSION]   (without VERSION, the one that is written in the code)
       tools/release.py write            (version and changelog of the release that was made, into the checkout)

Making one leaves the checkout as it is. The same commit gives the same files: what has a time has that of the commit.
"""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
COPY = ROOT / ".build" / "release" / "ansible_collections" / "hpc" / "jupyter"
_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")
WRITTEN = {
    "plugins/module_utils/layout.py": ('VERSION = "{}"',),
    "galaxy.yml": ("version: {}",),
    "README.md": ("hpc_jupyter-{}-py3", "hpc-jupyter-{}.tar.gz"),
    "docs/awx.md": ("hpc-jupyter-{}.tar.gz",),
}
"""Where the version is written, and how."""


def main(verb: str, version: str = "") -> None:
    """Do what was asked for."""
    if verb == "write":
        write()
    else:
        make(version)


def make(version: str) -> None:
    """Everything of a release; what was in dist/ is gone."""
    _refuse_changes()
    _copy()
    before = str(yaml.safe_load((COPY / "galaxy.yml").read_text(encoding="utf-8"))["version"])
    version = version or before
    if not _VERSION.fullmatch(version):
        sys.exit(f"{version!r} is not a version. Write one such as 0.2.0")
    _set_version(before, version)
    _write_changelog(version)
    _build()


def write() -> None:
    """Into the checkout: the version wherever it is written, the changelog, and no fragments any more."""
    for name in (*WRITTEN, "CHANGELOG.rst", "changelogs/changelog.yaml"):
        shutil.copy(COPY / name, ROOT / name)
    for fragment in (ROOT / "changelogs" / "fragments").glob("*.yml"):
        if not (COPY / "changelogs" / "fragments" / fragment.name).exists():
            fragment.unlink()


def _refuse_changes() -> None:
    changed = _git("status", "--porcelain").rstrip()
    if changed:
        sys.exit(f"a release is made of what is committed, and this is not:\n{changed}")


def _git(*arguments: str) -> str:
    asked = ["git", *arguments]
    return subprocess.run(asked, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout


def _copy() -> None:
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, stdout=subprocess.PIPE, timeout=60)
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tree:
        tree.extractall(COPY)  # noqa: S202 - git made it just now


def _set_version(before: str, version: str) -> None:
    for name, forms in WRITTEN.items():
        text = (COPY / name).read_text(encoding="utf-8")
        for form in forms:
            if form.format(before) not in text:
                sys.exit(f"{name} does not say {form.format(before)!r}")
            text = text.replace(form.format(before), form.format(version))
        (COPY / name).write_text(text, encoding="utf-8")


def _write_changelog(version: str) -> None:
    """From the fragments; a version that has been released already gets those that have come since."""
    if not list((COPY / "changelogs" / "fragments").glob("*.yml")):
        return
    there = yaml.safe_load((COPY / "changelogs" / "changelog.yaml").read_text(encoding="utf-8"))["releases"]
    again = ["--update-existing"] if version in there else []
    day = dt.datetime.fromtimestamp(int(_commit_time()), dt.UTC).date().isoformat()
    _run("antsibull-changelog", "release", "--version", version, "--date", day, "--reload-plugins", *again)


def _commit_time() -> str:
    return _git("log", "-1", "--format=%ct").strip()


def _run(program: str, *arguments: str) -> None:
    programs = Path(sys.executable).parent
    environ = {
        **os.environ,
        "PATH": f"{programs}:{os.environ.get('PATH', os.defpath)}",
        "ANSIBLE_COLLECTIONS_PATH": str(COPY.parents[2]),
        "SOURCE_DATE_EPOCH": _commit_time(),
        "PYTHONHASHSEED": "0",  # ansible-galaxy lists the files in the order of a set
    }
    argv = [str(programs / program), *arguments]
    done = subprocess.run(argv, cwd=COPY, env=environ, check=False, stdout=subprocess.DEVNULL, timeout=300)
    if done.returncode:
        sys.exit(f"no release was made: {program} failed")


def _build() -> None:
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    _run("python", "-m", "hatchling", "build", "-t", "wheel", "-d", str(DIST))
    _run("ansible-galaxy", "collection", "build", "--output-path", str(DIST), ".")
    [tarball] = DIST.glob("*.tar.gz")
    steady(tarball, seconds=int(_commit_time()))
    files = sorted(DIST.iterdir())
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (DIST / "SHA256SUMS").write_text("".join(sums), encoding="ascii")


def steady(tarball: Path, *, seconds: int) -> None:
    """Pack it again without the moment of packing, which ansible-galaxy writes into it."""
    packed = io.BytesIO()
    with tarfile.open(tarball) as old, tarfile.open(fileobj=packed, mode="w") as new:
        for member in old.getmembers():
            member.mtime, member.pax_headers = seconds, {}
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    with tarball.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=seconds) as stream:
        stream.write(packed.getvalue())


if __name__ == "__main__":
    main(*sys.argv[1:])
