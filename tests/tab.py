"""Stands for a browser's tab that is left open: `tab.py URL FILE`, URL with its token.

It starts a kernel that keeps printing numbers, and connects again whenever its websocket breaks, as JupyterLab does. It
says then how many messages have come, as the script does that a session adds to JupyterLab's page.
``FILE`` gets the kernel's id in its first line, then each number that was seen, then ``kept N`` once the kernel has
been interrupted and has counted what it printed.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
import urllib.request
import uuid
from typing import Any
from urllib.parse import parse_qs, urlsplit

import websocket  # type: ignore[import-not-found]  # of the JupyterLab that runs this

LOOP = """\
import time
kept = []
while True:
    kept.append(len(kept))
    print(kept[-1], flush=True)
    time.sleep(0.1)
"""
COUNT = "print('kept', len(kept))"


class Tab:
    """One tab with one kernel."""

    def __init__(self, url: str, path: str) -> None:
        parts = urlsplit(url)
        [self.token] = parse_qs(parts.query)["token"]
        self.base = f"{parts.netloc}{parts.path.rsplit('/', 1)[0]}"
        self.session = uuid.uuid4().hex
        self.seen = 0
        self.file = open(path, "w", buffering=1, encoding="utf-8")  # noqa: SIM115
        self.over = threading.Event()
        self.kernel = self.request("POST", "api/kernels", {"name": "python3"})["id"]
        self.file.write(f"{self.kernel}\n")

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Jupyter's REST API."""
        headers = {"Authorization": f"token {self.token}"}
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(f"http://{self.base}/{path}", data, headers, method=method)
        with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310
            return json.loads(answer.read() or "null")

    def run(self) -> None:
        """Print and see until the tab is told to end, then count."""
        channel = self.connect()
        channel.send(message(LOOP))
        self.see(channel, until="")
        self.over.clear()
        self.request("POST", f"api/kernels/{self.kernel}/interrupt", {})
        channel = self.connect()
        channel.send(message(COUNT))
        self.see(channel, until="kept")

    def connect(self, *, seconds: float = 30) -> Any:
        """The kernel's channels, under the same session every time, so that the server gives what it has kept back."""
        url = f"ws://{self.base}/api/kernels/{self.kernel}/channels?session_id={self.session}"
        url += f"&hpc_jupyter_seen={self.seen}"
        channel = websocket.create_connection(url, timeout=seconds, header=[f"Authorization: token {self.token}"])
        channel.settimeout(1)
        return channel

    def see(self, channel: Any, *, until: str) -> None:
        """Write what is printed."""
        while not self.over.is_set():
            try:
                told = json.loads(channel.recv())
                self.seen += 1
            except websocket.WebSocketTimeoutException:
                continue
            except (OSError, ValueError, websocket.WebSocketException):
                channel = self.again() or channel
                continue
            if told.get("msg_type") == "stream":
                self.file.write(told["content"]["text"])
                if until and until in told["content"]["text"]:
                    return

    def again(self) -> Any:
        """Connected again, if that is possible now."""
        try:
            return self.connect(seconds=5)
        except (OSError, ValueError, websocket.WebSocketException):
            time.sleep(0.5)
            return None


def message(code: str) -> str:
    """What a notebook sends to run a cell."""
    header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "username": "", "session": ""}
    content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
    content["stop_on_error"] = False  # what comes after an interrupt is wanted all the same
    told = {"header": {**header, "version": "5.3"}, "parent_header": {}, "metadata": {}, "channel": "shell"}
    return json.dumps({**told, "buffers": [], "content": content})


if __name__ == "__main__":
    tab = Tab(sys.argv[1], sys.argv[2])
    signal.signal(signal.SIGINT, lambda *_: tab.over.set())
    tab.run()
