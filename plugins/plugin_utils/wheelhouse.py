# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wheels that an account needs, fetched on the controller for the account's Python and platform.

They are kept by what they were made for, so that a hundred accounts of one cluster cost one download.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ansible_collections.hpc.jupyter.plugins.module_utils import packages
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError

with contextlib.suppress(ImportError):  # ansible-core brings it, but not where its tests merely import this file
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name, parse_wheel_filename

_HASHES = "hashes.json"
_SECONDS = 1800
_POLL_SECONDS = 0.2
_OLDEST_GLIBC_MINOR = 5
_UV_GLIBC_MINORS = (17, 28, *range(31, 41))
"""The platforms that uv knows by name."""


@dataclass(frozen=True)
class Platform:
    """An account's Python and machine: the values of its markers, and its glibc's version, such as 2.28."""

    markers: Mapping[str, str]
    glibc: str

    def __str__(self) -> str:
        return f"Python {self.markers['python_version']}, {self.markers['platform_machine']}, glibc {self.glibc}"

    @property
    def tags(self) -> list[str]:
        """What pip calls the platforms whose wheels run there, the newest first."""
        machine = self.markers["platform_machine"]
        names = [f"manylinux_2_{minor}" for minor in range(self._minor, _OLDEST_GLIBC_MINOR - 1, -1)]
        names += ["manylinux2014", *(["manylinux2010", "manylinux1"] if machine == "x86_64" else []), "linux"]
        return [f"{name}_{machine}" for name in names]

    @property
    def uv_name(self) -> str:
        """What uv calls the nearest platform that is not newer."""
        minor = max((known for known in _UV_GLIBC_MINORS if known <= self._minor), default=_UV_GLIBC_MINORS[0])
        return f"{self.markers['platform_machine']}-manylinux_2_{minor}"

    @property
    def _minor(self) -> int:
        return int(self.glibc.split(".")[1])

    def check(self) -> None:
        """Raise ``HpcJupyterError`` where no wheels are made for it."""
        told = (self.markers["sys_platform"], self.markers["implementation_name"], self.glibc[:2])
        if told != ("linux", "cpython", "2."):
            raise HpcJupyterError(
                f"wheels are sent to CPython on Linux with glibc 2 alone, and this account has "
                f"{self.markers['platform_python_implementation']} on {self.markers['platform_system']}. Fill a "
                "directory by hand and name it in jupyter_environment_wheelhouse, or use an environment that is there "
                "(jupyter_environment_kind)"
            )


@dataclass(frozen=True)
class House:
    """Wheels on the controller: SHA-256 by file name; ``more_lock`` is what the person's own packages come to."""

    directory: str
    hashes: Mapping[str, str]
    more_lock: str = ""

    def pack(self, names: Sequence[str], archive: str) -> None:
        """Put the wheels called ``names`` into a tar archive."""
        with tarfile.open(archive, "w") as tar:
            for name in names:
                tar.add(os.path.join(self.directory, name), arcname=name)


@dataclass(frozen=True)
class Order:
    """What is to be fetched: the texts of lock files, the person's own packages, for which platform."""

    platform: Platform
    locks: Sequence[str]
    uv_lock: str
    packages: Sequence[str] = ()
    debugger: bool = False

    @property
    def key(self) -> str:
        """Its place in the cache: packages of one's own are settled anew every day, as an index would have it."""
        own = [*self.packages, str(self.debugger), time.strftime("%Y-%m-%d")] if self.wants_more else []
        made_of = [*self.locks, self.uv_lock, str(self.platform), *own]
        return hashlib.sha256("\0".join(made_of).encode()).hexdigest()[:16]

    @property
    def wants_more(self) -> bool:
        """Whether there is more than the locks."""
        return bool(self.packages) or self.debugger


def provide(order: Order) -> House:
    """The wheels of ``order``, fetched if they are not there; raises ``HpcJupyterError``."""
    order.platform.check()
    place = os.path.join(cache(), order.key)
    _fill(place, partial(_fetch, order))
    with open(os.path.join(place, _HASHES), encoding="utf-8") as stream:
        return House(place, **json.load(stream))


def _fill(place: str, fetch: Callable[[str], None]) -> None:
    """Have the directory ``place``, whole or not at all; of several that want it at once, one fetches it."""
    with holding(f"{place}.lock", seconds=_SECONDS):
        if not os.path.isdir(place):
            made = tempfile.mkdtemp(prefix=f"{os.path.basename(place)}.", dir=cache())
            try:
                fetch(made)
                os.rename(made, place)
            finally:
                shutil.rmtree(made, ignore_errors=True)


def cache() -> str:
    """Where this machine keeps wheels."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    base = base if os.path.isabs(base) else os.path.expanduser("~/.cache")
    directory = os.path.join(base, "hpc-jupyter", "wheels")
    os.makedirs(directory, mode=0o700, exist_ok=True)
    return directory


@contextlib.contextmanager
def holding(path: str, *, seconds: float) -> Iterator[None]:
    """The lock at ``path``; whoever does not get it in time goes on without it, at the price of doing work twice."""
    deadline = time.monotonic() + seconds
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as lock:
        while time.monotonic() < deadline:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(_POLL_SECONDS)
        yield


def for_platform(lock: str, platform: Platform) -> str:
    """What ``lock`` comes to on ``platform``: pip takes markers for those of the machine that it runs on."""
    kept = []
    for line in lock.replace("\\\n", " ").splitlines():
        requirement, *hashes = line.split(" --hash=")
        if not requirement.strip() or requirement.lstrip().startswith("#"):
            continue
        parsed = Requirement(requirement)
        if parsed.marker is None or parsed.marker.evaluate(dict(platform.markers)):
            where = f" @ {parsed.url}" if parsed.url else str(parsed.specifier)
            kept.append(" ".join([f"{parsed.name}{where}", *(f"--hash={item.strip()}" for item in hashes)]))
    return "".join(f"{line}\n" for line in kept)


def _fetch(order: Order, into: str) -> None:
    for lock in order.locks:
        _download(for_platform(lock, order.platform), order.platform, into)
    locked = _wheels(into)
    if order.wants_more:
        _download(_settle(order), order.platform, into)
    hashes = {name: _sha256(os.path.join(into, name)) for name in _wheels(into)}
    more = "".join(_line(name, sha256) for name, sha256 in hashes.items() if name not in locked)
    with open(os.path.join(into, _HASHES), "w", encoding="utf-8") as stream:
        json.dump({"hashes": hashes, "more_lock": more}, stream)


def _settle(order: Order) -> str:
    """The person's own packages and all that they need on the account, without what the locks have."""
    pins = "".join(for_platform(lock, order.platform) for lock in order.locks)
    wanted = [*order.packages, *(["debugpy"] if order.debugger else [])]
    with tempfile.TemporaryDirectory() as scratch:
        override = [] if order.debugger else ["--override", _write(scratch, "overrides", packages.NO_DEBUGPY)]
        argv = [
            _uv(order), "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--generate-hashes",
            "--only-binary", ":all:", "--python-platform", order.platform.uv_name,
            "--python-version", order.platform.markers["python_version"], *override,
            "--constraint", _write(scratch, "pins", packages.constraints(pins)),
            _write(scratch, "packages.in", "".join(f"{item}\n" for item in wanted)),
        ]  # fmt: skip
        settled = for_platform(_run(argv, "the packages of jupyter_environment_packages"), order.platform)
    locked = {_name(line) for line in pins.splitlines()}
    return "".join(f"{line}\n" for line in settled.splitlines() if _name(line) not in locked)


def _name(line: str) -> str:
    return str(canonicalize_name(Requirement(line.partition(" --hash=")[0]).name))


def _download(lock: str, platform: Platform, into: str) -> None:
    if not lock:
        return
    with tempfile.TemporaryDirectory() as scratch:
        argv = [
            *_pip(), "download", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:",
            "--implementation", "cp", "--python-version", platform.markers["python_version"],
            *(word for tag in platform.tags for word in ("--platform", tag)),
            "--dest", into, "-r", _write(scratch, "requirements.txt", lock),
        ]  # fmt: skip
        _run(argv, f"the wheels for {platform}")


def _pip() -> list[str]:
    common = ["--disable-pip-version-check", "--no-input"]
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", *common]
    for program, words in (("pip3", []), ("pip", []), ("uv", ["tool", "run", "pip"])):
        found = shutil.which(program)
        if found:
            return [found, *words, *common]
    raise HpcJupyterError(
        "fetching wheels for an account without a package index needs pip on this machine, beside Ansible or on PATH: "
        f"{sys.executable} -m ensurepip, or install uv"
    )


def _uv(order: Order) -> str:
    """uv settles for another platform what pip can only settle for its own."""
    here = os.path.join(os.path.dirname(sys.executable), "uv")
    place = os.path.join(cache(), f"uv-{hashlib.sha256(order.uv_lock.encode()).hexdigest()[:16]}")
    found = shutil.which("uv") or shutil.which(here)
    if found:
        return found
    _fill(place, partial(_fetch_uv, order.uv_lock))
    return os.path.join(place, "bin", "uv")


def _fetch_uv(lock: str, into: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        argv = ["install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--target", into]
        _run([*_pip(), *argv, "-r", _write(scratch, "uv.txt", lock)], "uv")


def _run(argv: Sequence[str], what: str) -> str:
    environment = {**os.environ, "PIP_REQUIRE_VIRTUALENV": "0"}
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_SECONDS,
            env=environment,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise HpcJupyterError(f"fetching {what} on this machine took too long and was stopped") from None
    if done.returncode:
        said = "; ".join(line.strip() for line in (done.stderr or done.stdout).splitlines()[-4:] if line.strip())
        raise HpcJupyterError(
            f"{what} could not be fetched on this machine: {said}. It must reach a package index for accounts that "
            "cannot; or fill a directory by hand and name it in jupyter_environment_wheelhouse"
        )
    return done.stdout


def _line(name: str, sha256: str) -> str:
    project, version, _build, _tags = parse_wheel_filename(name)
    return f"{project}=={version} --hash=sha256:{sha256}\n"


def _wheels(directory: str) -> list[str]:
    return sorted(name for name in os.listdir(directory) if name.endswith(".whl"))


def _sha256(path: str) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write(directory: str, name: str, text: str) -> str:
    path = os.path.join(directory, name)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
    return path
