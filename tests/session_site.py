"""An account directory with a real JupyterLab, as the roles make it, for tests of the job and of `hpc-session`."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils import archive, certificate, children, probe, request
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout, SessionFiles
from ansible_collections.hpc.jupyter.plugins.plugin_utils import packing

from tests.wheelhouse import ROOT

# Root may not run sessions on a cluster: there the tests are somebody else, in a user namespace.
PERSON = ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 else []


NONCE = "abcdef0123456789"


class Site:
    """One account's directory and home, with sessions that are started by the real job script."""

    def __init__(self, place: Path, python: Path, scheduler: str = "none", *, detach: str = "setsid") -> None:
        self.home = place / "home"
        self.layout = Layout(str(self.home / "hpc"))
        self.scheduler = scheduler
        self.login: dict[str, str] = {}
        """What logins have in their environment besides."""
        self.running: list[subprocess.Popen[bytes]] = []
        for path in (self.home, Path(self.layout.root), Path(self.layout.server), Path(self.layout.sessions)):
            path.mkdir(mode=0o700)
        shutil.copy(ROOT / "roles/jupyter_server/files/job.sh", self.layout.job_script)
        Path(self.layout.environment_script).write_text(f"export HPC_JUPYTER_PYTHON={python}\n")
        facts = {"schema": 1, "account": "me@here", "cluster": "here", "scheduler": scheduler, "detach": detach,
                 "version": "0.1.0"}
        Path(self.layout.account).write_text(json.dumps(facts))
        Path(self.layout.command).write_bytes(archive.shebang(str(python)) + packing.body())
        Path(self.layout.command).chmod(0o755)

    def files(self, name: str = "default") -> SessionFiles:
        """The files of a session."""
        return self.layout.session(name)

    def record(self, name: str = "default") -> rec.Record:
        """The record as it is now."""
        found = rec.read(self.files(name).record)
        assert found is not None
        return found

    def intend(self, name: str = "default", *, generation: int = 1, **wanted: Any) -> rec.Record:
        """What a submitter writes before it submits."""
        files = self.files(name)
        os.makedirs(files.path, mode=0o700, exist_ok=True)
        asked = request.build(session=name, account="me@here", cluster="here", scheduler=self.scheduler, **wanted)
        Path(files.request).write_bytes(asked.to_json())
        Path(files.token).write_bytes(base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"="))
        Path(files.cookie_secret).write_bytes(secrets.token_bytes(64))
        intention = rec.Record(
            session=name, account="me@here", cluster="here", scheduler=self.scheduler, generation=generation,
            base_url=f"/{secrets.token_hex(8)}/", log=files.log, interface=asked.interface, race=asked.race,
        )
        rec.write(files.record, intention)
        return intention

    def environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        """A login's environment: nothing of the tests' own."""
        return {"HOME": str(self.home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **self.login, **extra}

    def job(self, name: str = "default", *, generation: int = 1, prefix: list[str] | None = None, **env: str,
            ) -> subprocess.Popen[bytes]:
        """Start the job as a scheduler would."""
        files = self.files(name)
        argv = [*(PERSON if prefix is None else prefix), self.layout.job_script, files.path, str(generation)]
        with open(files.log, "ab") as log:
            self.running.append(subprocess.Popen(
                argv, cwd=self.home, env=self.environment(env), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            ))
        return self.running[-1]

    def log(self, name: str = "default") -> str:
        """What the job has printed."""
        return Path(self.files(name).log).read_text(errors="replace")

    def ready(self, name: str = "default", *, seconds: float = 60) -> rec.Record:
        """Wait until the session is ready; one that ends first fails the test with its log."""
        wait_for(lambda: self.record(name).state in (rec.READY, rec.ENDED), seconds=seconds)
        assert self.record(name).state == rec.READY, f"{asdict(self.record(name))}\n{self.log(name)}"
        return self.record(name)

    def ended(self, job: subprocess.Popen[bytes], *, seconds: float = 60) -> int:
        """Wait for a job's end; its exit code."""
        return job.wait(timeout=seconds)

    def target(self, name: str = "default") -> probe.Target:
        """Where the session listens."""
        now = self.record(name)
        address = now.address or probe.LOOPBACK
        return probe.Target(
            now.base_url, socket=now.socket, port=now.port, address=address, tls_sha256=now.tls_sha256
        )

    def certificate(self) -> str:
        """Make the account's certificate; its fingerprint."""
        pair = certificate.Pair(self.layout.server)
        certificate.make(pair, days=30)
        return certificate.fingerprint(pair)

    def told(self, answer: subprocess.CompletedProcess[str]) -> dict[str, Any]:
        """What the account's command answered, framed by ``NONCE``."""
        framed = [line for line in answer.stdout.splitlines() if line.startswith(f"{NONCE} ")]
        assert framed, answer
        told: dict[str, Any] = json.loads(framed[0].partition(" ")[2])
        return told

    def token(self, name: str = "default") -> str:
        """The session's token."""
        return Path(self.files(name).token).read_text()

    def command(
        self, *arguments: str, prefix: list[str] | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the account's own command."""
        return subprocess.run(
            [*(PERSON if prefix is None else prefix), self.layout.command, *arguments], check=False, cwd="/",
            env=self.environment(env), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
        )

    def close(self) -> None:
        """End whatever a test has left running."""
        for job in self.running:
            if job.poll() is None:
                job.send_signal(signal.SIGTERM)
        for job in self.running:
            try:
                job.wait(timeout=30)
            except subprocess.TimeoutExpired:
                job.kill()
                job.wait(timeout=10)


def wait_for(condition: Callable[[], object], *, seconds: float = 20) -> None:
    """Poll until ``condition`` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def processes_of(text: str) -> list[children.Process]:
    """Every process whose command line holds ``text``."""
    return [process for process in children.processes().values() if text in process.command]
