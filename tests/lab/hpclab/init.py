"""PID 1 of a namespace: does what its plan says, tells that it is done, then reaps.

Runs by itself on the machine's own Python (nothing but the standard library), with the plan as one line of JSON on
stdin, because the namespace it prepares has another root than the one that holds this package. It answers `hello`
when it can be found by its pid, then `ready` or what failed, as JSON strings, one a line.
"""

import ctypes
import json
import os
import pwd
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_LIBC = ctypes.CDLL(None, use_errno=True)
_FLAGS = {"bind": 4096, "rdonly": 1, "remount": 32, "nosuid": 2, "rec": 16384}
_DETACH = 2
_READY_SECONDS = 20.0
_LISTEN = "0A"


def mount(mount: dict[str, Any], root: str) -> None:
    target = root + mount["target"]
    Path(target).mkdir(parents=True, exist_ok=True)
    flags = sum(_FLAGS[flag] for flag in mount.get("flags", ()))
    options = mount.get("options", "")
    _check(_LIBC.mount(*_bytes(mount["source"], target, mount["type"]), flags, options.encode()), target)


def enter(root: str) -> None:
    """Makes `root` the namespace's root and lets go of the old one, all its mounts included."""
    os.chdir(root)
    _check(_LIBC.pivot_root(b".", b"."), root)
    _check(_LIBC.umount2(b".", _DETACH), root)
    os.chdir("/")


def write(file: dict[str, Any]) -> None:
    path = Path(file["path"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(file["text"], encoding="utf-8")
    _own(path, file["owner"], file["mode"])


def make_directory(directory: dict[str, Any]) -> None:
    path = Path(directory["path"])
    path.mkdir(parents=True, exist_ok=True)
    _own(path, directory["owner"], directory["mode"])


def make_device(device: dict[str, Any]) -> None:
    path = Path(device["path"])
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(*device["number"]))
    path.chmod(0o666)


def command(step: dict[str, Any]) -> None:
    done = subprocess.run(step["argv"], input=step["text"], capture_output=True, text=True, timeout=20, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(step['argv'])}: {done.stderr.strip()}")


def start(daemon: dict[str, Any]) -> None:
    log = Path(daemon["log"] or f"/var/log/{daemon['name']}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    account = pwd.getpwnam(daemon["owner"])
    with log.open("ab") as output:
        process = subprocess.Popen(
            daemon["argv"], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            user=account.pw_uid, group=account.pw_gid, extra_groups=[],
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
        )  # fmt: skip
    deadline = time.monotonic() + _READY_SECONDS
    while not _serves(daemon):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{daemon['name']} does not serve; its log ends:\n{_tail(log)}")
        time.sleep(0.005)


def prepare(plan: dict[str, Any]) -> None:
    root = plan["root"]
    for each in plan["mounts"]:
        mount(each, root)
    if root:
        enter(root)
    if plan["hostname"]:
        socket.sethostname(plan["hostname"])
    _each(write, plan["files"])
    _each(make_directory, plan["directories"])
    _each(make_device, plan["devices"])
    for link, target in plan["links"].items():
        Path(link).symlink_to(target)
    _each(command, plan["commands"])
    _each(start, plan["daemons"])


def reap() -> None:
    """Waits for children for ever; the signal stays pending while none is waited for, so none is missed."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
        signal.sigwait({signal.SIGCHLD})


def _each(step: Callable[[dict[str, Any]], None], items: list[dict[str, Any]]) -> None:
    for item in items:
        step(item)


def _serves(daemon: dict[str, Any]) -> bool:
    if daemon["ready_path"]:
        return Path(daemon["ready_path"]).exists()
    return daemon["ready_port"] is None or _listening(daemon["ready_port"])


def _listening(port: int) -> bool:
    rows = [row.split() for table in ("tcp", "tcp6") for row in Path("/proc/net", table).read_text().splitlines()[1:]]
    return any(row[3] == _LISTEN and int(row[1].rpartition(":")[2], 16) == port for row in rows)


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])


def _own(path: Path, owner: str, mode: int) -> None:
    entry = pwd.getpwnam(owner)
    os.chown(path, entry.pw_uid, entry.pw_gid)
    path.chmod(mode)


def _bytes(*values: str) -> list[bytes]:
    return [value.encode() for value in values]


def _check(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def _say(word: str) -> None:
    print(json.dumps(word), flush=True)


def main() -> None:
    os.environ["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    os.umask(0o022)
    _say("hello")
    line = sys.stdin.readline()
    if not line:  # whoever builds the lab has died
        return
    try:
        prepare(json.loads(line))
    except (OSError, RuntimeError, subprocess.SubprocessError, KeyError) as error:
        _say(f"{type(error).__name__}: {error}")
        return
    _say("ready")
    reap()


if __name__ == "__main__":
    main()
