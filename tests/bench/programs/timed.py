"""Runs one command on the laptop and times it from there: `timed.py < JSON`, with any Python, answers with JSON.

The clock stops when the command has ended or, if ``until`` is ``answer``, when a Jupyter server first answers an
authenticated request at the address that the command has printed, or that is given as ``url``. Then the command is
told to end, as Ctrl-C does it.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
from contextlib import suppress
from typing import Any

_URL = re.compile(r"http://(?:127\.0\.0\.1|localhost):\d+/\S*?\?token=[\w-]+")
_PAUSE_SECONDS = 0.005
_END_SECONDS = 20


class Told:
    """The lines that the command prints, each with the seconds after which it came."""

    def __init__(self, process: subprocess.Popen[str], *, began: float, url: str) -> None:
        self.process, self.began, self.url = process, began, url
        self.lines: list[tuple[float, str]] = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append((time.monotonic() - self.began, line.rstrip("\n")))
            found = _URL.search(line)
            self.url = self.url or (found[0] if found else "")


def answers(url: str) -> bool:
    """Whether the server at ``url``, which has the token, answers."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection("127.0.0.1", parts.port or 80, timeout=5)
    token = urllib.parse.parse_qs(parts.query)["token"][0]
    with suppress(OSError, http.client.HTTPException):
        path = f"{parts.path.rpartition('/')[0]}/api/status"
        connection.request("GET", path, headers={"Authorization": f"token {token}"})
        answer = connection.getresponse()
        return answer.status == 200 and b'"started"' in answer.read()
    return False


def await_answer(told: Told, *, deadline: float) -> bool:
    """Ask again and again; whether it answered before the command ended."""
    while time.monotonic() < deadline:
        if told.url and answers(told.url):
            return True
        if told.process.poll() is not None:
            return False
        time.sleep(_PAUSE_SECONDS)
    return False


def await_end(told: Told, *, deadline: float) -> bool:
    """Whether it ended well in time; a wait of Python's that has a limit looks only every 0.05 seconds."""
    limit = threading.Timer(deadline - time.monotonic(), stop, [told.process])
    limit.start()
    try:
        return told.process.wait() == 0
    finally:
        limit.cancel()


def stop(process: subprocess.Popen[str]) -> None:
    """End it with all that it has started in its session."""
    for number in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=_END_SECONDS)


def timed(argv: list[str], *, until: str, seconds: float, url: str = "", env: dict[str, str]) -> dict[str, Any]:
    """Run it; what it took, and what it said."""
    since, began = time.time(), time.monotonic()
    process = subprocess.Popen(
        argv, env={**os.environ, **env}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", start_new_session=True,
    )
    told = Told(process, began=began, url=url)
    wait = await_answer if until == "answer" else await_end
    good = wait(told, deadline=began + seconds)
    took = time.monotonic() - began
    stop(process)
    told.reader.join(timeout=1)
    return {"ok": good, "seconds": took, "since": since, "url": told.url, "lines": told.lines}


if __name__ == "__main__":
    json.dump(timed(**json.load(sys.stdin)), sys.stdout)
