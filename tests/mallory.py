"""What a second Unix user can see and do on a host: ``scan`` looks for secrets in all that mallory can read there.

The same file is the library of the tests and the one program that a scan runs on the host, as mallory, with the
system's Python: it gets its task on stdin, as JSON, so that no canary is on a command line, and prints what it found
as JSON. It reads and knocks; it attacks nothing.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import itertools
import json
import os
import selectors
import shutil
import socket
import stat
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpclab import Lab

PLACES = ("/home", "/tmp", "/var/tmp", "/dev/shm", "/run", "/var/log", "/var/spool", "/srv")
_SCHEDULER = (
    ("scontrol", "--oneliner", "show", "job"),
    ("scontrol", "show", "step"),
    ("squeue", "--format=%all"),
    ("squeue", "--steps", "--format=%all"),
)
_ASK_SECONDS = 10.0
_QUIET_SECONDS, _KNOCK_SECONDS = 0.25, 3.0
"""Doors that say nothing are left after the first; no knocking takes longer than the second."""
_GET = b"GET / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"
_MOST_BYTES = 16 << 20
_PEOPLE = 1000
"""The least uid of a person: what the system's own services offer is not ours."""
_LEAST_BYTES = 8


@dataclass(frozen=True)
class Finding:
    """A canary that mallory has seen: its name, and where."""

    canary: str
    where: str


@dataclass(frozen=True)
class Door:
    """A listening socket of a person's that accepted mallory's connection."""

    kind: str
    address: str
    uid: int


@dataclass(frozen=True)
class Sight:
    """All that a scan saw. ``looked`` counts what it read, so that a test can tell a blind scan from a clean host."""

    findings: tuple[Finding, ...]
    doors: tuple[Door, ...]
    looked: Mapping[str, int]
    unanswered: tuple[str, ...]
    """Commands of the scheduler that failed or did not answer in time."""


def scan(lab: Lab, host: str, canaries: Mapping[str, str | bytes], *, user: str = "mallory") -> tuple[Finding, ...]:
    """The canaries that ``user`` finds on a host; ``canaries`` are secrets by name."""
    return look(lab, host, canaries, user=user).findings


def look(lab: Lab, host: str, canaries: Mapping[str, str | bytes], *, user: str = "mallory") -> Sight:
    """All that ``user`` sees on a host."""
    source = Path(__file__).read_text(encoding="utf-8")
    task = {name: [base64.b64encode(form).decode() for form in _forms(value)] for name, value in canaries.items()}
    argv = ["/usr/bin/python3", "-I", "-S", "-c", source]
    done = lab.host(host).run(argv, user=user, input=json.dumps({"canaries": task}), timeout=60)
    return _sight(json.loads(done.stdout))


def _sight(told: Mapping[str, Any]) -> Sight:
    return Sight(
        findings=tuple(Finding(**each) for each in told["findings"]),
        doors=tuple(Door(**each) for each in told["doors"]),
        looked=told["looked"],
        unanswered=tuple(told["unanswered"]),
    )


def _forms(value: str | bytes) -> list[bytes]:
    """A secret as it is, and as programs are wont to write it."""
    raw = value.encode() if isinstance(value, str) else value
    assert len(raw) >= _LEAST_BYTES, "a canary this short is found everywhere"
    coded = [base64.b64encode(raw), base64.urlsafe_b64encode(raw)]
    forms = [raw, raw.hex().encode(), *(each.rstrip(b"=") for each in coded), urllib.parse.quote(raw).encode()]
    return sorted(set(forms))


class Eyes:
    """One look around, on the host itself."""

    def __init__(self, canaries: Mapping[str, Sequence[bytes]]) -> None:
        self._canaries = canaries
        self._doors: list[Door] = []
        self._findings: list[Finding] = []
        self._looked: dict[str, int] = {}
        self._unanswered: list[str] = []

    def look(self) -> Sight:
        """Everything; the scheduler is asked while the rest is read."""
        asked = [_ask(argv) for argv in _SCHEDULER if shutil.which(argv[0])]
        self._processes()
        for place in PLACES:
            self._files(place)
        self._knock(itertools.chain(_tcp_doors(), _unix_doors()))
        for process in asked:
            self._scheduler(process)
        return Sight(tuple(self._findings), tuple(self._doors), self._looked, tuple(self._unanswered))

    def _check(self, text: bytes, kind: str, where: str) -> None:
        self._looked[kind] = self._looked.get(kind, 0) + 1
        for name, forms in self._canaries.items():
            if any(form in text for form in forms):
                self._findings.append(Finding(name, where))

    def _processes(self) -> None:
        for pid in filter(str.isdigit, os.listdir("/proc")):
            for part in ("cmdline", "environ", "comm"):
                with contextlib.suppress(OSError), open(f"/proc/{pid}/{part}", "rb") as stream:
                    self._check(stream.read(), part, f"{part} of process {pid}")

    def _files(self, place: str) -> None:
        for folder, _folders, names in os.walk(place):
            for name in names:
                path = os.path.join(folder, name)
                self._check(os.fsencode(path), "names", f"name of {path}")
                content = _content(path)
                if content is not None:
                    self._check(content, "files", f"file {path}")

    def _scheduler(self, process: subprocess.Popen[bytes]) -> None:
        command = " ".join(map(str, process.args if isinstance(process.args, (list, tuple)) else []))
        try:
            said, _ = process.communicate(timeout=_ASK_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            self._unanswered.append(command)
            return
        if process.returncode:
            self._unanswered.append(command)
        self._check(said, "commands", f"output of {command}")

    def _knock(self, doors: Iterable[tuple[Door, socket.socket, Any]]) -> None:
        """Connect to all at once, ask for a page, and read what comes until nothing does."""
        with selectors.DefaultSelector() as selector, contextlib.ExitStack() as stack:
            for door, knock, address in doors:
                stack.enter_context(knock)
                self._looked["doors"] = self._looked.get("doors", 0) + 1
                knock.setblocking(False)
                if knock.connect_ex(address) in (0, errno.EINPROGRESS, errno.EAGAIN):
                    selector.register(knock, selectors.EVENT_WRITE, (door, bytearray()))
            self._listen(selector)

    def _listen(self, selector: selectors.BaseSelector) -> None:
        deadline = time.monotonic() + _KNOCK_SECONDS
        while selector.get_map() and time.monotonic() < deadline:
            ready = selector.select(_QUIET_SECONDS)
            if not ready:
                break
            for key, _events in ready:
                self._answer(selector, key)
        for key in list(selector.get_map().values()):
            self._check(bytes(key.data[1]), "answers", f"answer of {key.data[0].address}")

    def _answer(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        knock, (door, heard) = key.fileobj, key.data
        assert isinstance(knock, socket.socket)
        more = b""
        with contextlib.suppress(OSError):
            if key.events == selectors.EVENT_WRITE:
                if knock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    selector.unregister(knock)
                    return
                self._doors.append(door)
                selector.modify(knock, selectors.EVENT_READ, key.data)
                knock.send(_GET)
                return
            more = knock.recv(65536)
        heard += more
        if not more or len(heard) > _MOST_BYTES:
            selector.unregister(knock)
            self._check(bytes(heard), "answers", f"answer of {door.address}")


def _ask(argv: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def _content(path: str) -> bytes | None:
    """A regular file's content, if it can be read; a pipe would wait for somebody to write."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with open(descriptor, "rb") as stream:
        try:
            return stream.read(_MOST_BYTES) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
        except OSError:
            return None


def _tcp_doors() -> Iterator[tuple[Door, socket.socket, Any]]:
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in _lines(f"/proc/net/{table}"):
            fields = line.split()
            uid = int(fields[7])
            if fields[3] == "0A" and uid >= _PEOPLE:
                address, port = _endpoint(fields[1], family)
                door = Door(table, f"{address}:{port}", uid)
                yield door, socket.socket(family, socket.SOCK_STREAM), (_within(address), port)


def _endpoint(text: str, family: socket.AddressFamily) -> tuple[str, int]:
    """An address of ``/proc/net/tcp``: words in the machine's byte order, the port as a number."""
    address, port = text.split(":")
    words = [bytes.fromhex(address[at : at + 8]) for at in range(0, len(address), 8)]
    packed = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    return socket.inet_ntop(family, packed), int(port, 16)


def _within(address: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104 - where others listen


def _unix_doors() -> Iterator[tuple[Door, socket.socket, Any]]:
    """Those with a name; whose it is, is known where mallory may look at the file."""
    for line in _lines("/proc/net/unix"):
        fields = line.split(maxsplit=7)
        if len(fields) < 8 or not int(fields[3], 16) & 0x10000:
            continue
        name = fields[7]
        try:
            uid = os.lstat(name).st_uid
        except OSError:
            uid = _PEOPLE
        address = f"\0{name[1:]}" if name.startswith("@") else name
        if uid >= _PEOPLE and len(os.fsencode(address)) <= 107:
            yield Door("unix", name, uid), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), address


def _lines(path: str) -> list[str]:
    with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="surrogateescape") as stream:
        return stream.read().splitlines()[1:]
    return []


def main() -> None:
    """Read the task, look, tell."""
    task = json.load(sys.stdin)
    canaries = {name: [base64.b64decode(form) for form in forms] for name, forms in task["canaries"].items()}
    json.dump(asdict(Eyes(canaries).look()), sys.stdout)


if __name__ == "__main__":
    main()
