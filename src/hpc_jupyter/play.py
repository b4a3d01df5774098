"""Run one playbook and say what came of it. The only importer of ansible_runner, which has no types."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Self

from hpc_jupyter.account import play_environment
from hpc_jupyter.errors import Failure, Stopped

CONNECT = "hpc.jupyter.connect"
"""The action whose failure means that the account was not reached."""

_PREFIX = "hpc-jupyter-play-"
_GRACE_SECONDS = 5.0
_YOUNG_SECONDS = 60.0
_FORKS = 20
"""So many accounts at once: what takes time is the hosts, not this computer."""


@dataclass(frozen=True)
class Step:
    """One event of a running play; ``kind`` is ``start`` (of a task), ``ok``, ``retry``, ``failed`` or ``tick``."""

    kind: str
    account: str = ""
    task: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class HostResult:
    """What came of one account: the last session named, all sessions seen; why it failed, how, and in which action.

    ``told`` is what modules say besides, by name: see ``_TOLD``.
    """

    account: str
    session: Mapping[str, Any] = field(default_factory=dict)
    sessions: tuple[Mapping[str, Any], ...] = ()
    changed: bool = False
    failed: bool = False
    unreachable: bool = False
    message: str = ""
    log_tail: tuple[str, ...] = ()
    failed_action: str = ""
    kind: str = ""
    told: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PlayResult:
    """How a play ended; ``message`` is the first failure's, or Ansible's own when it did not get that far."""

    succeeded: bool
    hosts: Mapping[str, HostResult]
    message: str = ""
    interrupted: bool = False


@dataclass(frozen=True)
class Play:
    """A playbook by name, the accounts it is limited to, and its variables.

    ``variables`` are data: whatever a person typed stays literal. ``secrets`` reach the play through private files.
    """

    playbook: str
    inventory: Sequence[str]
    accounts: Sequence[str]
    variables: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    verbosity: int = 0


def run(play: Play, watch: Callable[[Step], None]) -> PlayResult:
    """Run ``play``; ``watch`` sees every step, and a tick several times a second.

    Ctrl-C stops Ansible in an orderly way and gives a result that says ``interrupted``; SIGTERM and SIGHUP raise
    ``Stopped`` after the same.
    """
    with _private_directory() as directory, _Interrupts() as interrupts:
        _write_variables(directory, play)
        reader = _Reader(watch, directory=directory, interrupts=interrupts, verbosity=play.verbosity)
        code = _run_ansible(play, directory, reader)
    if interrupts.number not in (0, signal.SIGINT):
        raise Stopped(interrupts.number)
    return reader.result(succeeded=code == 0, interrupted=bool(interrupts.number))


def _run_ansible(play: Play, directory: Path, reader: _Reader) -> int:
    import ansible_runner  # type: ignore[import-untyped,unused-ignore]

    runner = ansible_runner.run(
        private_data_dir=str(directory),
        project_dir=os.getcwd(),
        ident="play",
        binary=_program("ansible-playbook"),
        cmdline=" ".join([play.playbook, *(["-" + "v" * play.verbosity] if play.verbosity else [])]),
        inventory=list(play.inventory),
        limit=",".join(play.accounts),
        envvars=_environment(directory),
        settings={"pexpect_timeout": 0.2, "suppress_output_file": True},
        quiet=True,
        event_handler=reader.event,
        cancel_callback=reader.cancelled,
        status_handler=reader.status,
    )
    return int(runner.rc or 0) if runner.rc is not None else 1


def _program(name: str) -> str:
    """A program of our own installation, never one that PATH happens to name."""
    for directory in (Path(sys.executable).parent, Path(sysconfig.get_path("scripts"))):
        if (directory / name).exists():
            return str(directory / name)
    raise Failure(f"{name} is missing beside {sys.executable}. Install hpc-jupyter again, with its dependencies")


def _environment(directory: Path) -> dict[str, str]:
    return {
        **play_environment(),
        "ANSIBLE_LOCAL_TEMP": str(directory / "tmp"),
        "ANSIBLE_PIPELINING": "True",
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        "ANSIBLE_FORCE_COLOR": "False",
        "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "True",
        "ANSIBLE_FORKS": str(_FORKS),
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
    }


@contextlib.contextmanager
def _private_directory() -> Iterator[Path]:
    """A 0700 directory that is gone afterwards; its lock tells a live run's from one that was left behind."""
    path = Path(tempfile.mkdtemp(prefix=_PREFIX))
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        (path / "env").mkdir(mode=0o700)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(descriptor)


def clean_up_after_the_dead() -> None:
    """Remove what runs that were killed have left in the temporary directory."""
    for path in left_behind():
        remove_left_behind(path)


def left_behind() -> list[Path]:
    """The directories of runs that were killed."""
    return [path for path in sorted(Path(tempfile.gettempdir()).glob(f"{_PREFIX}*")) if _if_left(path, bool)]


def remove_left_behind(path: Path) -> bool:
    """Remove what a killed run has left; whether it was that, and is gone now."""
    return _if_left(path, lambda left: shutil.rmtree(left, ignore_errors=True)) and not path.exists()


def _if_left(path: Path, act: Callable[[Path], object]) -> bool:
    """Whether ``path`` is a directory of ours whose run was killed; ``act`` on it, while nobody else can."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid() or time.time() - status.st_mtime < _YOUNG_SECONDS:
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        act(path)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _unsafe(value: Any) -> Any:
    """``value`` with every string marked as data: never a template, and never the number that YAML sees in 2:00:00."""
    if isinstance(value, Mapping):
        return {str(key): _unsafe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_unsafe(item) for item in value]
    return {"__ansible_unsafe": value} if isinstance(value, str) else value


def _write_variables(directory: Path, play: Play) -> None:
    content: dict[str, Any] = _unsafe(play.variables)
    for number, (name, secret) in enumerate(play.secrets.items()):
        path = directory / f"secret-{number}"
        _write_private(path, secret)
        content[name] = f"{{{{ lookup('ansible.builtin.file', '{path}', rstrip=false) }}}}"
    _write_private(directory / "env" / "extravars", json.dumps(content))


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)


class _Interrupts:
    """Notes SIGINT, SIGTERM and SIGHUP instead of raising in the middle of somebody else's code."""

    number = 0

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.number = self.number or number


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Reader:
    """Turns ansible-runner's callbacks into steps and, at the end, into a result."""

    def __init__(
        self, watch: Callable[[Step], None], *, directory: Path, interrupts: _Interrupts, verbosity: int
    ) -> None:
        self._watch = watch
        self._directory = directory
        self._interrupts = interrupts
        self._verbosity = verbosity
        self._pid = 0
        self._told_at = 0.0
        self._hosts: dict[str, HostResult] = {}
        self._noise: list[str] = []

    def status(self, data: Mapping[str, Any], **_: Any) -> None:
        """Remove the copy of our environment that ansible-runner writes down as soon as it is there."""
        if data.get("status") == "running":
            (self._directory / "artifacts" / "play" / "command").unlink(missing_ok=True)

    def cancelled(self) -> bool:
        """Tick; ask Ansible to stop once, and have it killed when it does not."""
        self._watch(Step("tick"))
        if not self._interrupts.number:
            return False
        if not self._told_at:
            self._told_at = time.monotonic()
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGINT) if self._pid else None
        return not self._pid or time.monotonic() - self._told_at > _GRACE_SECONDS

    def event(self, event: Mapping[str, Any]) -> bool:
        """Take one event in; ``False`` keeps ansible-runner from writing it to a file."""
        data = event.get("event_data") or {}
        self._note_output(event)
        if event.get("event") == "playbook_on_start":
            self._pid = int(event.get("pid") or 0)
            (self._directory / "env" / "extravars").unlink(missing_ok=True)
        kind = _KINDS.get(event.get("event", ""))
        if kind and not data.get("ignore_errors"):
            step = Step(kind, account=data.get("host", ""), task=data.get("task", ""), result=_answer(data))
            action = str(data.get("resolved_action") or data.get("task_action") or "")
            self._keep(step, action=action, unreachable=event["event"] == "runner_on_unreachable")
            self._watch(step)
        return False

    def _note_output(self, event: Mapping[str, Any]) -> None:
        text = event.get("stdout") or ""
        if text and self._verbosity:
            print(text, file=sys.stderr)
        if event.get("event") == "verbose" and len(self._noise) < 200:
            self._noise += text.splitlines()

    def _keep(self, step: Step, *, action: str, unreachable: bool) -> None:
        if step.kind not in ("ok", "failed"):
            return
        known = self._hosts.get(step.account, HostResult(step.account))
        result, failed = step.result, step.kind == "failed"
        self._hosts[step.account] = HostResult(
            account=step.account,
            session=_session(result) or known.session,
            sessions=tuple(result.get("sessions", known.sessions)) if "sessions" in result else known.sessions,
            changed=known.changed or bool(result.get("changed")),
            failed=known.failed or failed,
            unreachable=known.unreachable or unreachable or (failed and action == CONNECT),
            message=_message(result) if failed else known.message,
            log_tail=tuple(result.get("log_tail", ())) if failed else known.log_tail,
            failed_action=action if failed else known.failed_action,
            kind=str(result.get("kind", "")) if failed else known.kind,
            told={**known.told, **{key: result[key] for key in _TOLD if key in result}},
        )

    def result(self, *, succeeded: bool, interrupted: bool) -> PlayResult:
        """What came of the play."""
        messages = [host.message for host in self._hosts.values() if host.failed and host.message]
        message = "" if succeeded else (messages[0] if messages else _first_error(self._noise))
        return PlayResult(succeeded, dict(self._hosts), message=message, interrupted=interrupted)


_TOLD = ("leftovers", "untold", "removed", "stopped", "asking", "notes", "checks")
_KINDS = {
    "playbook_on_task_start": "start",
    "runner_on_ok": "ok",
    "runner_retry": "retry",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "failed",
}


def _answer(data: Mapping[str, Any]) -> Mapping[str, Any]:
    result = data.get("res")
    return result if isinstance(result, Mapping) else {}


def _session(result: Mapping[str, Any]) -> Mapping[str, Any]:
    session = result.get("session")
    return session if isinstance(session, Mapping) and "state" in session else {}


def _message(result: Mapping[str, Any]) -> str:
    items = [item for item in result.get("results", ()) if isinstance(item, Mapping) and item.get("failed")]
    return str((items[0] if items else result).get("msg") or "Ansible gave no reason").strip()


def _first_error(lines: Sequence[str]) -> str:
    """The paragraph in which Ansible says why it did not start."""
    for number, line in enumerate(lines):
        if line.startswith(("[ERROR]", "ERROR!")):
            paragraph = " ".join(text.strip() for text in lines[number : number + 4] if text.strip())
            return f"Ansible could not start: {paragraph.removeprefix('[ERROR]:').removeprefix('ERROR!').strip()}"
    return f"Ansible failed and gave no reason{': ' + lines[-1] if lines else ''}"
