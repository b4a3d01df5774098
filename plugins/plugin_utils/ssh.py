# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The login master of one account, and commands over it. The system's ssh does the work."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shlex
import signal
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, cast

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster
from ansible_collections.hpc.jupyter.plugins.plugin_utils.control import control, end_master, master_pid
from ansible_collections.hpc.jupyter.plugins.plugin_utils.entrance import go_through, wanted_host
from ansible_collections.hpc.jupyter.plugins.plugin_utils.explain import FULL, cause, explain, explain_silence
from ansible_collections.hpc.jupyter.plugins.plugin_utils.interpreter import CUT_SHORT, first_look, remember
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import Files, relay_command

__all__ = [
    "Answer", "ConnectFailed", "asking_environment", "carries", "close_master", "end_former", "explain",
    "master_alive", "master_pid", "open_master", "run_remote", "stale_master",
]

TERMINAL_VARIABLE = "HPC_JUPYTER_TERMINAL"
"""Tells the askpass program which terminal to ask on: in its session of its own it has no /dev/tty."""

_POLL_SECONDS = 0.02
_CLOSE_SECONDS = 10.0
_ALIVE_SECONDS = 10.0
_YOUNG_SECONDS = 60.0


class ConnectFailed(HpcJupyterError):
    """The account could not be reached; the text names the hop and says what to do, ``cause`` is ``explain``'s word."""

    def __init__(self, message: str, *, cause: str = "") -> None:
        self.cause = cause
        super().__init__(message)


@dataclass(frozen=True)
class Answer:
    """What a command on the account printed, without what the login printed around it."""

    code: int
    stdout: str
    stderr: str
    noise: str = ""
    """What the login printed around it."""


def master_alive(files: Files) -> bool:
    """Whether the login master is there; asks no host, takes milliseconds."""
    if not os.path.exists(files.control):
        return False
    try:
        return control(files.control, "check").returncode == 0
    except subprocess.TimeoutExpired:
        return False


def open_master(
    cluster: Cluster, files: Files, *, askpass: str | None = None, once: bool = False, timeout_seconds: float = 60.0,
    show: Callable[[str], None] | None = None, environment: Mapping[str, str] | None = None, instead_of: int = 0,
    heard: list[str] | None = None, look: Callable[[str], Answer] | None = None,
) -> bool:
    """Log in once, so that Ansible and every forward ride on it; ``False`` if that has been done already.

    The master with the process id ``instead_of`` no longer carries: it ends once there is another one, not before.

    Where a session depends on another login host than the one that answers, the way goes on to that one; if it cannot
    be reached, the one that answered has to do.

    Without ``askpass`` no hop asks anything. ``askpass`` is a program that gets ssh's question as its argument, asks
    on the terminal named by ``HPC_JUPYTER_TERMINAL`` and prints the answer; ``environment`` is added to its own.
    With ``once`` no hop asks for a password again after a wrong one.
    ``show`` gets the lines that hosts show before they let one in; ``heard`` all that ssh said of each login. ``look``
    is what is done in place of a first look of our own: it gets a nonce, and gives what that would. Raises
    ``ConnectFailed``.
    """
    if cluster.local:
        return False
    otherwise = f"{cluster.name}: another process is still logging in to {cluster.account}"
    with _only_opener(files, otherwise, time.monotonic() + timeout_seconds):
        deadline = time.monotonic() + timeout_seconds
        there = master_pid(files.control)
        if there and there != instead_of:
            return False
        if not there:
            _forget(files)
        config = (files.once_config if once else files.asking_config) if askpass else files.batch_config
        added = asking_environment(askpass, environment or {})

        def log_in(through: Sequence[str]) -> None:
            left = deadline - time.monotonic()
            _log_in(cluster, files, through, config=config, seconds=left, show=show, environment=added, heard=heard)

        with _set_aside(files) if there else contextlib.nullcontext():
            log_in(_jump(cluster, config))
        _go_on(cluster, files, log_in, look)
    return True


def carries(cluster: Cluster, files: Files, *, seconds: float = _ALIVE_SECONDS) -> bool:
    """Whether a master is there and its connection still carries: after sleep or a cut it may not know itself."""
    if not master_alive(files):
        return False
    try:
        run_remote(cluster, files, ["true"], timeout_seconds=seconds, by_master=True)
    except ConnectFailed as error:
        return error.cause == FULL
    return True


def stale_master(cluster: Cluster, files: Files) -> int:
    """The process id of a master that carries no more; 0 where there is none, or one that was opened just now."""
    try:
        age = time.time() - os.stat(files.control).st_mtime
    except FileNotFoundError:
        return 0
    pid = master_pid(files.control)
    return pid if pid and age > _YOUNG_SECONDS and not carries(cluster, files) else 0


def close_master(files: Files) -> bool:
    """End the login master and all that rides on it; ``False`` if there was none.

    A login that somebody makes just now would leave another one: raises ``ConnectFailed`` if it takes too long.
    """
    with _only_opener(files, "another process is still logging in", time.monotonic() + _CLOSE_SECONDS):
        alive = master_alive(files) or master_pid(files.former) != 0
        end_master(files.control)
        _forget(files)
    return alive


@contextlib.contextmanager
def _set_aside(files: Files) -> Iterator[None]:
    """The master that there is makes way for another one, and comes back where that could not be opened."""
    end_former(files)
    pids = [master_pid(files.control), master_pid(files.entrance)]
    with contextlib.suppress(FileNotFoundError):  # one that dies just now takes its socket along
        os.rename(files.control, files.former)
    try:
        yield
    except BaseException:
        if not os.path.exists(files.control):
            with contextlib.suppress(FileNotFoundError):
                os.rename(files.former, files.control)
        raise
    for pid in pids:
        _kill(pid)
    for path in (files.former, files.entrance):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def end_former(files: Files) -> None:
    """End the master that a login which was killed has set aside."""
    _kill(master_pid(files.former))
    with contextlib.suppress(FileNotFoundError):
        os.unlink(files.former)


def _kill(pid: int) -> None:
    """End a master at once: asked to end, it would take its successor's socket away."""
    with contextlib.suppress(ProcessLookupError):
        if pid:
            os.kill(pid, signal.SIGKILL)


def _go_on(
    cluster: Cluster, files: Files, log_in: Callable[[Sequence[str]], None], look: Callable[[str], Answer] | None
) -> None:
    """To the login host that a session depends on, if another one has answered; on the way, a Python is found."""
    if not cluster.root:
        return

    def first(nonce: str) -> Answer:
        return run_remote(cluster, files, first_look(cluster, files, nonce=nonce))

    nonce = secrets.token_hex(16)
    with contextlib.suppress(ConnectFailed):
        told = (look or first)(nonce)
        if told.code != CUT_SHORT:
            remember(cluster, files, told.stdout)
        wanted = wanted_host(told.stdout, nonce=nonce)
        if wanted:
            go_through(files, *wanted, log_in)


def _forget(files: Files) -> None:
    """Leave nothing of a master that is gone; what it went through would take its successor's socket away."""
    end_former(files)
    end_master(files.entrance)
    for path in (files.entrance, files.control):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def run_remote(
    cluster: Cluster, files: Files, argv: Sequence[str], *, timeout_seconds: float = 30.0, by_master: bool = False
) -> Answer:
    """Run ``argv`` on the account, whatever its login shell is and prints; ``~/`` begins a program's path.

    Nothing is asked, and no master is left behind; with ``by_master`` nobody is contacted where there is none. Raises
    ``ConnectFailed`` if the command did not come to run.
    """
    nonce = secrets.token_hex(16)
    command = ["/bin/sh", "-s"] if cluster.local else _ssh(cluster, files, by_master=by_master)
    try:
        done = _run(command, _script(argv, nonce).encode(), timeout_seconds)
    except subprocess.TimeoutExpired as error:
        raise ConnectFailed(f"{cluster.name}: {argv[0]} did not answer within {timeout_seconds:g} seconds") from error
    stdout, stderr = (part.decode("utf-8", "replace") for part in (done.stdout, done.stderr))
    framed = re.search(rf"{nonce} begin\n(.*)\n{nonce} end (\d+)\n", stdout, re.DOTALL)
    if framed:
        noise = stdout[: framed.start()] + stdout[framed.end() :]
        return Answer(int(framed[2]), framed[1], stderr, noise.strip())
    why = _why_not_run(cluster, done.returncode, stdout=stdout, stderr=stderr)
    raise ConnectFailed(why, cause=cause(stderr) if done.returncode == 255 else "")


def begin_remote(
    cluster: Cluster, files: Files, argv: Sequence[str]
) -> tuple[subprocess.Popen[bytes], IO[bytes], IO[bytes]]:
    """Begin ``argv`` as ``run_remote`` would, over the master that is there: its process, its input and its output.

    All three are the caller's to end. Whatever the login prints comes with the output.
    """
    command = ["/bin/sh", "-s"] if cluster.local else _ssh(cluster, files, by_master=True)
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    sent, said = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
    with contextlib.suppress(BrokenPipeError):
        sent.write(f"exec {_command(argv)}\n".encode())
        sent.flush()
    return process, sent, said


def _script(argv: Sequence[str], nonce: str) -> str:
    """The script is sh's standard input, so that no login shell ever reads a word of it."""
    return (
        f"printf '\\n%s begin\\n' {nonce}\n{_command(argv)} </dev/null\n"
        f"printf '\\n%s end %s\\n' {nonce} $?\nexit 0\n"
    )


def _command(argv: Sequence[str]) -> str:
    home = argv[0].startswith("~/")
    program = f'"$HOME"/{shlex.quote(argv[0][2:])}' if home else shlex.quote(argv[0])
    return " ".join([program, *(shlex.quote(word) for word in argv[1:])])


def _ssh(cluster: Cluster, files: Files, *, by_master: bool) -> list[str]:
    # ControlMaster=no: a master begun here would hold our pipes open after the command has ended.
    options = ["-o", "ControlMaster=no", "-o", "ControlPersist=no", "-o", "ClearAllForwardings=yes"]
    options += ["-o", "ProxyCommand=false"] if by_master else []
    return ["ssh", "-T", "-F", files.batch_config, *options, "--", cluster.name, "exec /bin/sh -s"]


def _why_not_run(cluster: Cluster, code: int, *, stdout: str, stderr: str) -> str:
    if code == 255 and not cluster.local:
        return explain(stderr, cluster)
    lines = [line.strip() for line in (stderr + "\n" + stdout).splitlines() if line.strip()]
    said = f": {lines[-1]}" if lines else ""
    return f"{cluster.name}: the login shell of {cluster.account} runs no commands (exit {code}){said}"


def _run(command: list[str], script: bytes, seconds: float) -> subprocess.CompletedProcess[bytes]:
    with tempfile.TemporaryFile() as stderr, tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stdin:
        stdin.write(script)
        stdin.seek(0)
        with subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True) as process:
            try:
                process.wait(seconds)
            except BaseException:
                _end(process)
                raise
        return subprocess.CompletedProcess(command, process.returncode, _content(stdout), _content(stderr))


def _content(stream: IO[bytes]) -> bytes:
    stream.seek(0)
    return stream.read()


@contextlib.contextmanager
def _only_opener(files: Files, otherwise: str, deadline: float) -> Iterator[None]:
    """Two that open one master at once would leave a connection that nobody can end."""
    with os.fdopen(os.open(files.lock, os.O_WRONLY | os.O_CREAT, 0o600), "w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ConnectFailed(f"{otherwise}. Wait for it") from None
                time.sleep(_POLL_SECONDS)
        yield


def _log_in(
    cluster: Cluster, files: Files, through: Sequence[str], *, config: str, seconds: float,
    show: Callable[[str], None] | None, environment: Mapping[str, str], heard: list[str] | None,
) -> None:
    asked = config != files.batch_config
    options = ["-f", "-N", "-o", "ControlMaster=yes", "-o", "ClearAllForwardings=yes", *through]
    with _common_file(files) as said, _terminal_kept(asked=asked):
        # The jump process stays in this session: in ours, the next Ctrl-C would end it and the master with it.
        process = subprocess.Popen(
            ["ssh", "-F", config, *options, "--", cluster.name],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True,
            env={**environment, "SHELL": "/bin/sh", "HPC_JUPYTER_SAID": said.name},
        )
        code = _wait(process, said, seconds=seconds, show=show)
        text = _content(said).decode("utf-8", "replace")
    if heard is not None:
        heard.append(text)
    if code is None:
        raise ConnectFailed(explain_silence(text, cluster, seconds=round(seconds)))
    if code:
        raise ConnectFailed(explain(text, cluster, asked=asked), cause=cause(text))


@contextlib.contextmanager
def _common_file(files: Files) -> Iterator[IO[bytes]]:
    """A file to which several processes append."""
    descriptor, path = tempfile.mkstemp(dir=files.directory, prefix=".login-")
    os.close(descriptor)
    try:
        with open(path, "a+b") as stream:
            yield stream
    finally:
        os.unlink(path)


def _jump(cluster: Cluster, config: str) -> list[str]:
    """What ProxyJump would run, but heard: ssh throws away what a jump says when ControlPersist is set."""
    if not cluster.gateways:
        return []
    command = relay_command(cluster, len(cluster.gateways) - 1, config=config)
    return ["-o", f'ProxyCommand={command} 2>>"$HPC_JUPYTER_SAID"']


def asking_environment(askpass: str | None, added: Mapping[str, str]) -> dict[str, str]:
    """In which ssh asks by the program ``askpass``, on the terminal that this process has."""
    if not askpass:
        return {**os.environ, **added}
    terminal = _terminal()
    where = {TERMINAL_VARIABLE: terminal} if terminal else {}
    return {**os.environ, "SSH_ASKPASS": askpass, "SSH_ASKPASS_REQUIRE": "force", **where, **added}


def _wait(
    process: subprocess.Popen[bytes], stderr: IO[bytes], *, seconds: float, show: Callable[[str], None] | None
) -> int | None:
    """The exit code of ssh, which is 0 as soon as the master is in the background; ``None`` if it took too long."""
    deadline = time.monotonic() + seconds
    shown = 0
    try:
        while process.poll() is None and time.monotonic() < deadline:
            shown = _show(stderr, shown, show)
            time.sleep(_POLL_SECONDS)
        _show(stderr, shown, show)
        return process.poll()
    finally:
        if process.poll() is None:
            _end(process)


def _show(stderr: IO[bytes], start: int, show: Callable[[str], None] | None) -> int:
    """Hand the whole lines after ``start`` to ``show``; the offset up to which that is done."""
    if show is None:
        return start
    content = os.pread(stderr.fileno(), 1 << 20, start)
    whole = content[: content.rfind(b"\n") + 1]
    for line in whole.decode("utf-8", "replace").splitlines():
        if not line.startswith("Authenticated to "):
            show(line.rstrip("\r"))
    return start + len(whole)


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(2)
            return


def _terminal() -> str:
    for stream in (sys.stdin, sys.stderr, sys.stdout):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            return os.ttyname(stream.fileno())
    return ""


@contextlib.contextmanager
def _terminal_kept(*, asked: bool) -> Iterator[None]:
    """An askpass program that is ended while it asks leaves the terminal without echo."""
    path = _terminal() if asked else ""
    if not path:
        yield
        return
    descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY)
    try:
        settings = termios.tcgetattr(descriptor)
        try:
            yield
        finally:
            termios.tcsetattr(descriptor, termios.TCSANOW, settings)
    finally:
        os.close(descriptor)
