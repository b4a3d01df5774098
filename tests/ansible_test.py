"""Run `ansible-test sanity` or `ansible-test units` on a copy of what git knows of.

The units run on the oldest and the newest Python that is here, and on ours: what breaks on one in between breaks on one
of the ends, and each costs as much as all tests of a role.

ansible-test asks git which files there are and wants them at …/ansible_collections/hpc/jupyter; told of none, it checks
nothing and passes. So the copy is made, and the run fails unless it shows that it looked.
"""

from __future__ import annotations

import ast
import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

from ansible_test._util.target.common.constants import CONTROLLER_PYTHON_VERSIONS, REMOTE_ONLY_PYTHON_VERSIONS

from tests import machine

ROOT = machine.ROOT
HOME = machine.BUILD / "ansible-test-home"
OUTPUT = machine.BUILD / "test-output"
NEEDED = (
    "galaxy.yml", "LICENSE", "README.md", "CHANGELOG.rst", "changelogs", "meta", "playbooks", "plugins", "roles",
    "tests/unit", "tests/sanity",
)  # fmt: skip
_CONNECTION = {
    "cert", "client-cert", "default-timeout", "extra-index-url", "find-links", "index-url", "no-index", "proxy",
    "retries", "timeout", "trusted-host",
}  # fmt: skip


ENOUGH_SANITY_TESTS = 15

# ansible-test fetches get-pip.py from a site of its own for each of its many environments. The pip that comes with
# Python will do; unpacked once for each Python it is there at once, while ensurepip takes seconds to install it.
_GET_PIP = """\
import ensurepip, glob, os, sys, sysconfig, tempfile, zipfile
places = [os.path.join(os.path.dirname(ensurepip.__file__), "_bundled"), getattr(ensurepip, "_WHEEL_PKG_DIR", None)]
names = [os.path.join(place, "pip-%s-*.whl" % ensurepip.version()) for place in places if place]
wheels = [path for name in names for path in glob.glob(name)]
unpacked = os.path.expanduser("~/pip-for-%d.%d" % sys.version_info[:2])
if not wheels:
    ensurepip.bootstrap(upgrade=True, default_pip=False)
    sys.exit()
if not os.path.isdir(unpacked):
    new = tempfile.mkdtemp(dir=os.path.expanduser("~"))
    zipfile.ZipFile(wheels[0]).extractall(new)
    try:
        os.rename(new, unpacked)
    except OSError:
        if not os.path.isdir(unpacked):  # another process was faster
            raise
with open(os.path.join(sysconfig.get_paths()["purelib"], "pip.pth"), "w") as stream:
    stream.write(unpacked + "\\n")
"""


def make_copy(name: str) -> Path:
    """A git repository of the collection's files as they are now, uncommitted ones too."""
    place = machine.BUILD / "copy" / name
    collection = place / "ansible_collections" / "hpc" / "jupyter"
    shutil.rmtree(place, ignore_errors=True)
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *NEEDED]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stdout
    for path in filter(None, names.split("\0")):
        source, target = ROOT / path, collection / path
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    subprocess.run(["git", "init", "-q"], cwd=collection, check=True, timeout=60)
    subprocess.run(["git", "add", "--all"], cwd=collection, check=True, timeout=60)
    return collection


def make_home() -> None:
    """A home directory of its own: ansible-test's caches, pip's settings, and no download of pip."""
    cache = HOME / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for version in ("20_3_4", "21_3_1", "24_2", "25_0_1"):
        (cache / f"get_pip_{version}.py").write_text(_GET_PIP, encoding="ascii")
    settings = configparser.RawConfigParser()
    settings["global"] = _pip_settings()
    where = HOME / ".config" / "pip" / "pip.conf"
    where.parent.mkdir(parents=True, exist_ok=True)
    with where.open("w", encoding="utf-8") as file:
        settings.write(file)


def _pip_settings() -> dict[str, str]:
    """How this machine's pip reaches its packages; ansible-test passes no PIP_ variables on."""
    asked = [sys.executable, "-m", "pip", "config", "list"]
    lines = subprocess.run(asked, check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()
    found = {}
    for key, _, value in (line.partition("=") for line in lines):
        name = key.rpartition(".")[2]
        if name in _CONNECTION:
            found[name] = str(ast.literal_eval(value)).replace("\n", "\n    ")
    return found


def pythons() -> list[str]:
    """The versions to run the units on."""
    path = _environment()["PATH"]
    ours = f"{sys.version_info[0]}.{sys.version_info[1]}"
    supported = (*REMOTE_ONLY_PYTHON_VERSIONS, *CONTROLLER_PYTHON_VERSIONS)
    here = [version for version in supported if shutil.which(f"python{version}", path=path)]
    return list(dict.fromkeys([here[0], ours, here[-1]]))


def run(command: str, collection: Path, *options: str) -> tuple[int, str]:
    """Run ansible-test; returns its exit code and its output, which is shown as well."""
    process = subprocess.Popen(
        ["ansible-test", command, "--color", "no", *options], cwd=collection, env=_environment(),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        sys.stdout.write(line)
        lines.append(line)
    return process.wait(timeout=60), "".join(lines)


def _environment() -> dict[str, str]:
    kept = {key: value for key, value in machine.environment().items() if not key.startswith("ANSIBLE_")}
    return {**kept, "HOME": str(HOME)}


def main(command: str) -> str:
    """Copy, run, and insist that something was checked; returns what is wrong, or nothing."""
    collection = make_copy(command)
    make_home()
    if command == "units":
        runs = [run(command, collection, "--venv", "--num-workers", "2", "--python", each)[0] for each in pythons()]
        return _keep_reports(collection, code=max(runs))
    code, output = run(command, collection)
    looked_at = [line for line in output.splitlines() if line.startswith("Running sanity test")]
    if len(looked_at) < ENOUGH_SANITY_TESTS or not _sees_modules(collection):
        return "ansible-test sanity checked nothing"
    return "ansible-test sanity failed" if code else ""


def _keep_reports(collection: Path, *, code: int) -> str:
    reports = sorted((collection / "tests" / "output" / "junit").glob("*.xml"))
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for number, report in enumerate(reports):
        shutil.copy2(report, OUTPUT / f"units-{number}.xml")
    if code:
        return "ansible-test units failed"
    return "" if reports else "ansible-test units ran nothing"


def _sees_modules(collection: Path) -> bool:
    """A planted mistake must be found: a module without documentation."""
    bad = collection / "plugins" / "modules" / "planted.py"
    bad.write_text("import nothing_there\n", encoding="ascii")
    done = subprocess.run(
        ["ansible-test", "sanity", "--test", "validate-modules"], cwd=collection,
        env=_environment(), check=False, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    bad.unlink()
    return done.returncode != 0 and "planted.py" in done.stdout + done.stderr


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main(sys.argv[1]) or 0)
