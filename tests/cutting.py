"""Stands for pages whose connections die: `cutting.py SOCKET BASE_URL < TOKEN`, with a JupyterLab's Python.

Two pages are open on one kernel, one speaks each of Jupyter's websocket protocols. Both are cut off again and again,
without a word and mostly without the server's noticing, while a cell prints numbers. What each has seen is printed.
"""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import sys
import uuid
from typing import Any

import websocket  # type: ignore[import-not-found]  # of the JupyterLab that runs this

LINES = 400
CODE = f"""\
import time
for number in range({LINES}):
    print(number, flush=True)
    time.sleep(0.005)
print('end', flush=True)
"""
V1 = "v1.kernel.websocket.jupyter.org"
SECONDS = 20


class Server:
    """The server behind a Unix socket."""

    def __init__(self, path: str, base: str, token: str) -> None:
        self.path, self.base = path, base
        self.headers = {"Authorization": f"token {token}"}

    def dial(self) -> socket.socket:
        """A connection of its own."""
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(SECONDS)
        made.connect(self.path)
        return made

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Jupyter's REST API."""
        connection = http.client.HTTPConnection("localhost", timeout=SECONDS)
        connection.sock = self.dial()
        connection.request(method, self.base + path, json.dumps(body), self.headers)
        return json.loads(connection.getresponse().read() or "null")


class Page:
    """One page, which counts what it gets."""

    def __init__(self, server: Server, kernel: str, protocol: str) -> None:
        self.server, self.protocol = server, protocol
        self.path = f"{server.base}api/kernels/{kernel}/channels?session_id={uuid.uuid4().hex}"
        self.seen = 0
        self.text = ""
        self.abandoned: list[Any] = []
        self.connect()

    def connect(self) -> None:
        """As the script in JupyterLab's page does."""
        self.channel = websocket.create_connection(
            f"ws://localhost{self.path}&hpc_jupyter_seen={self.seen}", socket=self.server.dial(), timeout=SECONDS,
            header=[f"{name}: {value}" for name, value in self.server.headers.items()],
            subprotocols=[self.protocol] if self.protocol else None,
        )

    def cut(self, *, noticed: bool) -> None:
        """Nothing comes any more; a connection that is left open looks alive to the server."""
        if noticed:
            self.channel.shutdown()
        else:
            self.abandoned.append(self.channel)
        self.connect()

    def read(self, messages: int) -> None:
        """Take that many, or all up to the cell's end."""
        for _each in range(messages):
            if self.text.endswith("end\n"):
                return
            kind, content = parts(self.channel.recv())
            self.seen += 1
            if kind == "stream":
                self.text += content["text"]


def parts(told: Any) -> tuple[str, Any]:
    """A message's type and content."""
    if isinstance(told, str):
        message = json.loads(told)
        return message["header"]["msg_type"], message["content"]
    count = int.from_bytes(told[:8], "little")
    at = [int.from_bytes(told[8 * (each + 1):8 * (each + 2)], "little") for each in range(count)]
    return json.loads(told[at[1]:at[2]])["msg_type"], json.loads(told[at[4]:at[5]])


def run(channel: Any) -> None:
    """Have the cell run."""
    header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "username": "", "session": ""}
    content = {"code": CODE, "silent": False, "store_history": False, "allow_stdin": False}
    told = {"header": {**header, "version": "5.3"}, "parent_header": {}, "metadata": {}, "channel": "shell"}
    channel.send(json.dumps({**told, "buffers": [], "content": content}))


def main(path: str, base: str) -> None:
    """See the cell to its end, through many cuts."""
    server = Server(path, base, sys.stdin.read().strip())
    kernel = server.request("POST", "api/kernels", {"name": "python3"})["id"]
    pages = [Page(server, kernel, ""), Page(server, kernel, V1)]
    run(pages[0].channel)
    for count in itertools.chain(range(1, 25), itertools.repeat(10_000)):
        for page in pages:
            page.read(count)
            page.cut(noticed=count % 3 == 0)
        if all(page.text.endswith("end\n") for page in pages):
            break
    server.request("DELETE", f"api/kernels/{kernel}")
    json.dump([page.text.split() for page in pages], sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
