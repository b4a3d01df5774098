"""The way into an account: log in once, then run the account's own command over it."""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import Busy, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import VERSION
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record
from ansible_collections.hpc.jupyter.plugins.plugin_utils import ssh, ssh_config
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster
from ansible_collections.hpc.jupyter.plugins.plugin_utils.entrance import framed
from ansible_collections.hpc.jupyter.plugins.plugin_utils.explain import hops

from hpc_jupyter.errors import Failure, NoSession, Unreachable
from hpc_jupyter.exits import Exit
from hpc_jupyter.progress import Progress

_TYPING_SECONDS = 300.0
_LOGIN_SECONDS = 60.0
_COMMAND_SECONDS = 60.0
_ALIVE_SECONDS = 10.0
_OFFER_SECONDS = 300.0
_LAST_WORDS = 15


@dataclass(frozen=True)
class Attached:
    """A session as its account describes it, and the token that lets one in.

    ``host`` is the login host that said so, as it calls itself; empty where it did not say.
    """

    record: Record
    token: str
    host: str = ""


@dataclass(frozen=True)
class Seen:
    """What one question tells of an account: the release that has set it up, empty if none has, and a session.

    In place of a session, ``session`` is why there is none to tell of.
    """

    installed: str
    session: Attached | HpcJupyterError

    def get(self) -> Attached:
        """The session; raises why there is none."""
        if isinstance(self.session, HpcJupyterError):
            raise self.session
        return self.session


@dataclass(frozen=True)
class Access:
    """One account, and this machine's files for reaching it."""

    cluster: Cluster
    files: ssh_config.Files

    @classmethod
    def to(cls, cluster: Cluster) -> Access:
        """Write the account's ssh configuration; a local account needs none."""
        if cluster.local:
            return cls(cluster, ssh_config.Files(ssh_config.state_directory(cluster.account)))
        return cls(cluster, ssh_config.write(cluster))

    @property
    def command(self) -> str:
        """The account's own command."""
        return f"{self.cluster.root}/hpc-session"

    def log_in(
        self, progress: Progress, *, interactive: bool, instead_of: int = 0, once: bool = False,
        seconds: float = _LOGIN_SECONDS, look: Callable[[str], ssh.Answer] | None = None,
    ) -> bool:
        """Open the login master, asking on the terminal if there is a person; ``False`` if it was open already.

        The master with the process id ``instead_of`` is known not to carry; it ends once there is another one. With
        ``once`` no hop asks again after a wrong answer. ``seconds`` is for a login without a person, ``look`` what is
        done with a new master first, as ``open_master`` has it.
        """
        master = ssh.master_pid(self.files.control)
        if self.cluster.local or (master and master != instead_of and self.carries()):
            return False
        progress.now(f"Logging in to {self.cluster.name}: {' → '.join(str(hop) for hop in hops(self.cluster))}")
        asked = interactive and sys.stdin.isatty()
        if asked:
            progress.done()
        try:
            return ssh.open_master(
                self.cluster,
                self.files,
                askpass=askpass(self.files) if asked else None,
                show=_teller(progress) if asked else None,
                timeout_seconds=_TYPING_SECONDS if asked else seconds,
                once=once,
                instead_of=master or instead_of,  # somebody else may have set it aside
                look=look,
            )
        except ssh.ConnectFailed as error:
            raise Unreachable(str(error), cause=error.cause) from error

    def carries(self, *, seconds: float = _ALIVE_SECONDS) -> bool:
        """Whether a master is there and its connection still carries: after sleep or a cut it may not know itself."""
        return ssh.carries(self.cluster, self.files, seconds=seconds)

    def run(
        self, argv: Sequence[str], *, seconds: float = _COMMAND_SECONDS, by_master: bool = False
    ) -> ssh.Answer:
        """Run a command on the account; with ``by_master`` nobody is contacted anew."""
        try:
            return ssh.run_remote(self.cluster, self.files, argv, timeout_seconds=seconds, by_master=by_master)
        except ssh.ConnectFailed as error:
            raise Unreachable(str(error), cause=error.cause) from error

    def installed_version(self) -> str:
        """The version that the account was set up with; empty if it was never set up."""
        path = f"{self.cluster.root}/account.json".removeprefix("~/")
        answer = self.run(["/bin/sh", "-c", 'cd && cat "$1"', "sh", path])
        try:
            return str(json.loads(answer.stdout)["version"]) if answer.code == 0 else ""
        except (ValueError, KeyError, TypeError):
            return ""

    def see(self, session: str) -> Seen:
        """Ask the account who has set it up and for a session's record and token, together."""
        seen = self._ask("attach", session)
        return seen if seen.installed else replace(seen, installed=self.installed_version())

    def attach(self, session: str, *, seconds: float = _COMMAND_SECONDS) -> Attached:
        """Ask the account for a session's record and token; raises ``NoSession``, or why it cannot say."""
        return self._ask("attach", session, seconds=seconds).get()

    def offer(self, session: str, how: str) -> Attached:
        """Have the running session offer itself as ``socket``, ``lan`` or ``reverse``; raises why it does not."""
        return self._ask("offer", session, how, seconds=_OFFER_SECONDS).get()

    def _ask(self, verb: str, session: str, *more: str, seconds: float = _COMMAND_SECONDS) -> Seen:
        nonce = secrets.token_hex(16)
        answer = self.run(self.question(verb, session, nonce, *more), seconds=seconds)
        seen = self.understood(answer.stdout, nonce, code=answer.code)
        if seen is None:
            why = (
                f"{self.cluster.account}: its command {self.command} does not answer (exit {answer.code})"
                f"{_last(answer.stderr)}. Set the account up: hpc-jupyter setup {self.cluster.account}"
            )
            return Seen("", Failure(why))
        return seen

    def question(self, verb: str, session: str, nonce: str, *more: str) -> list[str]:
        """The account's own command, to be answered on a line that begins with ``nonce``."""
        return [self.command, verb, "--session", session, "--nonce", nonce, *more]

    def understood(self, output: str, nonce: str, *, code: int | None = None) -> Seen | None:
        """The account's answer in ``output``, of a command that exited with ``code``; ``None`` if there is none."""
        told = framed(output, nonce)
        if told is None:
            return None
        installed = str(told.get("version") or "")
        if "error" in told:
            return Seen(installed, _refusal(str(told["error"]), told.get("code", code)))
        try:
            return Seen(installed, _attached(told, account=self.cluster.account))
        except HpcJupyterError as error:
            return Seen(installed, error)

    def last_words(self, log: str) -> tuple[str, ...]:
        """The last lines of a session's log, as far as they can be read now."""
        try:
            said = self.run(["tail", "-n", str(_LAST_WORDS), "--", log], seconds=_ALIVE_SECONDS) if log else None
        except Unreachable:
            return ()
        return tuple(said.stdout.splitlines()) if said and said.code == 0 else ()

    def observe(self, session: str) -> Mapping[str, Any]:
        """The session as the scheduler confirms it, which takes longer than its record; empty if nobody can say."""
        return _session_of(self.run([self.command, "status", "--session", session, "--json"]))


def _refusal(text: str, code: object) -> HpcJupyterError:
    """What the account's own command says; its exit codes mean what ours mean."""
    if code == Exit.NO_SESSION:
        return NoSession(text)
    if code == Exit.UNREACHABLE:
        return Unreachable(text)
    if code == Exit.BUSY:
        return Busy(text)
    return Failure(text, code=Exit.BAD_INPUT if code == Exit.BAD_INPUT else Exit.FAILED)


def _session_of(answer: ssh.Answer) -> Mapping[str, Any]:
    try:
        [session] = json.loads(answer.stdout)
    except (ValueError, TypeError):
        return {}
    return session if isinstance(session, dict) else {}


_SSHS_OWN = re.compile(
    r"(?:ssh: |kex_exchange_identification|ssh_exchange_identification|channel \d+: |stdio forwarding failed"
    r"|Connection (?:closed|reset|to) |Host key verification failed)"
)
"""What ssh says of its own failures: explained by the error, so not shown before it."""


def _teller(progress: Progress) -> Callable[[str], None]:
    """Shows what hosts say to a person who logs in: banners, a wrong code."""
    return lambda line: None if _SSHS_OWN.match(line) else progress.say(line)


def needs_setup(installed: str) -> bool:
    """Whether an account is to be set up (again): never done, or by an older release."""
    return _numbers(installed) < _numbers(VERSION)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _attached(told: Mapping[str, Any], *, account: str) -> Attached:
    found = rec.parse(json.dumps(told.get("record")).encode(), path=f"the record on {account}")
    token = told.get("token")
    if found is None or not isinstance(token, str):
        raise Failure(f"{account}: its answer about the session cannot be read. Try: hpc-jupyter setup {account}")
    return Attached(found, token, host=str(told.get("host") or ""))


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f": {lines[-1]}" if lines else ""


def askpass(files: ssh_config.Files) -> str:
    """A program without arguments, as ssh wants it; in the account's 0700 directory."""
    path = Path(files.directory) / "askpass"
    source = Path(__file__).with_name("askpass.py")
    text = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -I {shlex.quote(str(source))} "$@"\n'
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o700)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
    return str(path)
