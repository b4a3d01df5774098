"""Runs a cell in a session and prints what the cell printed: `cell.py [--keep] URL CODE`, URL with its token.

It stands for a browser where there is none, so it speaks what a browser speaks: Jupyter's REST API and a websocket.
With ``--keep`` the kernel is left running, as a browser leaves it.
"""

from __future__ import annotations

import json
import ssl
import sys
import urllib.request
import uuid
from typing import Any
from urllib.parse import parse_qs, urlsplit

import websocket  # type: ignore[import-not-found]  # of the JupyterLab that runs this

SECONDS = 60


def run(url: str, code: str, *, keep: bool = False) -> str:
    """What ``code`` prints in a new notebook of the session at ``url``."""
    parts = urlsplit(url)
    base = f"{parts.netloc}{parts.path.rsplit('/', 1)[0]}"
    [token] = parse_qs(parts.query)["token"]
    sessions = f"{parts.scheme}://{base}/api/sessions"
    notebook = {"path": f"{uuid.uuid4()}.ipynb", "name": "", "type": "notebook", "kernel": {"name": "python3"}}
    opened = _request("POST", sessions, token, notebook)
    channels = f"{parts.scheme.replace('http', 'ws')}://{base}/api/kernels/{opened['kernel']['id']}/channels"
    try:
        return _execute(channels, token, code)
    finally:
        if not keep:
            _request("DELETE", f"{sessions}/{opened['id']}", token)


def _request(method: str, url: str, token: str, body: object = None) -> Any:
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(url, data, {"Authorization": f"token {token}"}, method=method)  # noqa: S310
    with urllib.request.urlopen(request, timeout=SECONDS, context=_tls()) as answer:  # noqa: S310
        return json.loads(answer.read() or "null")


def _tls() -> ssl.SSLContext:
    """A browser would ask about a certificate that it does not know, and its person would look at the fingerprint."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _execute(url: str, token: str, code: str) -> str:
    headers = [f"Authorization: token {token}"]
    options = {"cert_reqs": ssl.CERT_NONE, "check_hostname": False}
    channel = websocket.create_connection(url, timeout=SECONDS, header=headers, sslopt=options)
    try:
        asked = _message(code)
        channel.send(json.dumps(asked))
        return "".join(_printed(channel, asked["header"]["msg_id"]))
    finally:
        channel.close()


def _message(code: str) -> dict[str, Any]:
    header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "username": "", "session": ""}
    return {
        "header": {**header, "version": "5.3"}, "parent_header": {}, "metadata": {}, "channel": "shell", "buffers": [],
        "content": {"code": code, "silent": False, "store_history": False, "allow_stdin": False},
    }  # fmt: skip


def _printed(channel: Any, asked: str) -> Any:
    while True:
        told = json.loads(channel.recv())
        if told["parent_header"].get("msg_id") != asked or told["channel"] != "iopub":
            continue
        if told["msg_type"] == "stream":
            yield told["content"]["text"]
        elif told["msg_type"] == "error":
            raise SystemExit("\n".join(told["content"]["traceback"]))
        elif told["msg_type"] == "status" and told["content"]["execution_state"] == "idle":
            return


if __name__ == "__main__":
    *words, its_url, its_code = sys.argv[1:]
    sys.stdout.write(run(its_url, its_code, keep="--keep" in words))
