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
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Self

from ansible_collections.hpc.jupyter.plugins.plugin_utils import gate
from ansible_runner.interface import init_runner  # type: ignore[import-untyped,unused-ignore]

from hpc_jupyter.account import play_environment
from hpc_jupyter.errors import Failure, Stopped
from hpc_jupyter.events import PlayResult, Reader, Step, nobody

_PREFIX = "hpc-jupyter-play-"
_GATE = "gate"
_GRACE_SECONDS = 5.0
_AGAIN_SECONDS = 0.05
_YOUNG_SECONDS = 60.0
_FORKS = 20
"""So many accounts at once: what takes time is the hosts, not this computer."""


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
    with Started(play) as started:
        return started.go_on(watch)


class Started:
    """A play whose Ansible has started: it reads what is on this machine, and contacts no account before ``go_on``.

    So it can be started before anybody knows whether it is needed; left without ``go_on``, it ends.
    """

    def __init__(self, play: Play) -> None:
        self._play = play
        self._reader = Reader(verbosity=play.verbosity)
        self._interrupts = _Interrupts()
        self._pid = 0
        self._told_at = 0.0
        self._is_wanted: bool | None = None
        self._code: int | None = None
        self._error: BaseException | None = None
        self._stirred = threading.Event()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as its:
            self._directory = its.enter_context(_private_directory())
            self._open_gate = ours.enter_context(gate.closed(str(self._directory / _GATE)))
            _write_variables(self._directory, self._play)
            runner = self._runner()
            # The directory goes when Ansible has ended, which may be after we have left.
            self._thread = threading.Thread(target=self._run, args=(runner, its.pop_all()), name="play")
            self._thread.start()
            self._owned = ours.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_wanted = bool(self._is_wanted)
        self._owned.close()

    def go_on(self, watch: Callable[[Step], None]) -> PlayResult:
        """Let it contact the accounts; what came of it, at its end or once there is ``enough``. As ``run``."""
        with self._interrupts as interrupts:
            self._reader.show(watch)
            self._is_wanted = True
            self._open_gate()
            self._stirred.wait()
            if interrupts.number:
                self._thread.join()
        if interrupts.number not in (0, signal.SIGINT):
            raise Stopped(interrupts.number)
        self._reader.watch = nobody
        if self._error is not None:
            raise self._error
        return self._reader.result(succeeded=not self._code, interrupted=bool(interrupts.number))

    def enough(self) -> None:
        """Whoever waits need not wait for the play's end; it ends by itself."""
        self._stirred.set()

    def _run(self, runner: Any, owned: contextlib.ExitStack) -> None:
        try:
            with owned:
                runner.run()
            self._code = int(runner.rc or 0) if runner.rc is not None else 1
        except BaseException as error:  # noqa: BLE001
            self._error = error  # whoever waits is told
        finally:
            self._stirred.set()

    def _runner(self) -> Any:
        play = self._play
        return init_runner(
            private_data_dir=str(self._directory),
            project_dir=os.getcwd(),
            ident="play",
            binary=_program("ansible-playbook"),
            cmdline=" ".join([play.playbook, *(["-" + "v" * play.verbosity] if play.verbosity else [])]),
            inventory=list(play.inventory),
            limit=",".join(play.accounts),
            envvars=_environment(self._directory),
            settings={"pexpect_timeout": 0.2, "suppress_output_file": True},
            quiet=True,
            event_handler=self._event,
            cancel_callback=self._cancelled,
            status_handler=self._status,
        )

    def _status(self, data: Mapping[str, Any], **_: Any) -> None:
        """Remove the copy of our environment that ansible-runner writes down as soon as it is there."""
        if data.get("status") == "running":
            (self._directory / "artifacts" / "play" / "command").unlink(missing_ok=True)

    def _event(self, event: Mapping[str, Any]) -> bool:
        """Take one event in; ``False`` keeps ansible-runner from writing it to a file."""
        if event.get("event") == "playbook_on_start":
            self._pid = int(event.get("pid") or 0)
            (self._directory / "env" / "extravars").unlink(missing_ok=True)
        self._reader.take(event)
        return False

    def _cancelled(self) -> bool:
        """Tick; whether Ansible is to be killed: nobody wants it, or it does not stop when it is asked to."""
        if not self._is_wanted:
            return self._is_wanted is False or not threading.main_thread().is_alive()
        self._reader.watch(Step("tick"))
        if not self._interrupts.number:
            return False
        if not self._told_at:
            self._told_at = time.monotonic()
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGINT) if self._pid else None
        return not self._pid or time.monotonic() - self._told_at > _GRACE_SECONDS


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
        gate.VARIABLE: str(directory / _GATE),
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
        _remove(path)
        os.close(descriptor)


def _remove(path: Path) -> None:
    """Also where a worker of an Ansible that was killed still writes; it is in a session of its own, and ends soon."""
    deadline = time.monotonic() + _GRACE_SECONDS
    with gate.let_go(str(path / _GATE), seconds=_GRACE_SECONDS):
        shutil.rmtree(path, ignore_errors=True)
    while path.exists() and time.monotonic() < deadline:
        time.sleep(_AGAIN_SECONDS)
        shutil.rmtree(path, ignore_errors=True)


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
