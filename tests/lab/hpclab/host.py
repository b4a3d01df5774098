"""One host of a lab that is up: run programs there, look at what is there."""

import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import LabError
from .packages import SEARCH
from .process import Process, until
from .topology import User

_ROOT = User(name="root", uid=0, login_shell="/bin/bash", password="")
_LISTENER = re.compile(r'users:\(\("(?P<program>[^"]+)",pid=(?P<pid>\d+)')


@dataclass(frozen=True)
class Listener:
    """A listening socket: `port` of a TCP or UDP one, None for a Unix socket, whose `address` is its path."""

    address: str
    port: int | None
    program: str
    pid: int


class Inside(subprocess.Popen[str]):
    """A program on a host. Signals go to the program itself, not to what put it there."""

    @property
    def program(self) -> Process:
        return until(Process.of(self.pid).only_child, what=f"start of {self.args!r}")

    def send_signal(self, sig: int) -> None:
        """To one that ends meanwhile, none is sent."""
        if self.poll() is None:
            with suppress(ProcessLookupError, LabError):
                os.kill(self.program.pid, sig)

    def interrupt(self) -> None:
        """What Ctrl-C in its terminal does: SIGINT for the program and all that it started in its session."""
        os.killpg(self.program.pid, signal.SIGINT)


@dataclass(frozen=True)
class RunningHost:
    name: str
    init: Process
    users: Mapping[str, User]
    started: list[Inside]  # what `down` has to wait for

    @property
    def root(self) -> Path:
        """Its file system, seen from the machine; do not follow absolute links in it."""
        return Path(f"/proc/{self.init.pid}/root")

    def run(
        self,
        argv: Sequence[str],
        *,
        user: str = "root",
        timeout: float = 60.0,
        check: bool = True,
        input: str | None = None,  # noqa: A002 - as subprocess calls it
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Waits for a program; a LabError with its output when it fails (`check`) or takes too long."""
        process = Inside(
            self.argv(argv, user=user, env=env, cwd=cwd),
            stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        with process:
            out, err = self._finish(process, input, timeout)
        done = subprocess.CompletedProcess(list(argv), process.returncode, out, err)
        if check and done.returncode:
            raise LabError(f"{self.name}: {list(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def popen(
        self,
        argv: Sequence[str],
        *,
        user: str = "root",
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        **options: Any,
    ) -> Inside:
        """Starts a program; `down` ends it."""
        chosen = {"encoding": "utf-8", "errors": "replace", "start_new_session": True, **options}
        process = Inside(self.argv(argv, user=user, env=env, cwd=cwd), **chosen)
        self.started.append(process)
        return process

    def argv(
        self,
        argv: Sequence[str],
        *,
        user: str = "root",
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        interactive: bool = False,
    ) -> list[str]:
        """The command of the machine that runs `argv` on the host as the user, with nothing of our environment.

        It gets a session of its own, so that nothing can ask questions on our terminal, unless it is `interactive`.
        """
        account = self._user(user)
        home = f"/home/{user}" if account.uid else "/root"
        login = {"HOME": home, "USER": user, "LOGNAME": user, "SHELL": account.login_shell}
        login |= {"PATH": SEARCH, "LANG": "C.UTF-8"}
        variables = [f"{name}={value}" for name, value in {**login, **(env or {})}.items()]
        enter = ["nsenter", "--target", str(self.init.pid), "--mount", "--uts", "--ipc", "--net", "--pid"]
        become = ["setpriv", f"--reuid={account.uid}", f"--regid={account.uid}", "--init-groups", "--pdeathsig=KILL"]
        session = [] if interactive else ["setsid"]
        return [*enter, *become, *session, "env", "-i", f"--chdir={cwd or home}", *variables, *argv]

    def read(self, path: str) -> str:
        return self.run(["cat", path]).stdout

    def write(self, path: str, text: str, *, owner: str = "root", mode: int = 0o644) -> None:
        """Writes a file whole, with its directory where that is missing."""
        self.run(["install", "-D", "-o", owner, "-g", owner, "-m", f"{mode:o}", "/dev/stdin", path], input=text)

    def exists(self, path: str) -> bool:
        return self.run(["test", "-e", path, "-o", "-L", path], check=False).returncode == 0

    def processes(self, *, user: str | None = None) -> list[tuple[int, list[str]]]:
        """(pid on the host, argv) of what runs there, zombies left out."""
        uid = self._user(user).uid if user else None
        found = [_look(entry, uid) for entry in (self.root / "proc").iterdir() if entry.name.isdigit()]
        return sorted(process for process in found if process)

    def listeners(self) -> list[Listener]:
        ports = self.run(["ss", "-Hltunp"]).stdout.splitlines()
        unix = [line for line in self.run(["ss", "-Hlxp"]).stdout.splitlines() if " LISTEN " in line]
        return [_port_listener(line) for line in ports] + [_unix_listener(line) for line in unix]

    def kill_all(self, user: str) -> bool:
        """Ends what the user runs; whether there was anything."""
        pids = [str(pid) for pid, _ in self.processes(user=user)]
        if pids:
            self.run(["kill", "-KILL", *pids], check=False)
        return bool(pids)

    def _finish(self, process: Inside, text: str | None, timeout: float) -> tuple[str, str]:
        try:
            return process.communicate(text, timeout=timeout)
        except subprocess.TimeoutExpired as late:
            process.kill()
            out, err = _rest(process)
            raise LabError(f"{self.name}: {late.cmd}: no end within {timeout:g} s\n{out}{err}") from None

    def _user(self, name: str) -> User:
        try:
            return self.users[name]
        except KeyError:
            raise LabError(f"no account {name!r}; there are {', '.join(self.users)}") from None


def users(accounts: Sequence[User]) -> dict[str, User]:
    return {account.name: account for account in (_ROOT, *accounts)}


def _rest(process: Inside) -> tuple[str, str]:
    """What it said; nothing when a child of it still holds the pipes."""
    try:
        return process.communicate(timeout=2)
    except subprocess.TimeoutExpired:
        return "", ""


def _look(entry: Path, uid: int | None) -> tuple[int, list[str]] | None:
    """One process by its directory in /proc; it may end while we look."""
    try:
        if uid is not None and entry.stat().st_uid != uid:
            return None
        argv = (entry / "cmdline").read_text(errors="replace").rstrip("\0").split("\0")
        zombie = (entry / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return None
    return None if zombie else (int(entry.name), argv)


def _port_listener(line: str) -> Listener:
    local = line.split()[4]
    address, _, port = local.rpartition(":")
    return Listener(address.strip("[]").partition("%")[0], int(port), *_who(line))


def _unix_listener(line: str) -> Listener:
    return Listener(line.split()[4], None, *_who(line))


def _who(line: str) -> tuple[str, int]:
    found = _LISTENER.search(line)
    return (found["program"], int(found["pid"])) if found else ("", 0)
