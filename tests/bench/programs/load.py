"""Loads a Jupyter server from the laptop: `load.py < JSON` prints the seconds that a download or many requests took."""

from __future__ import annotations

import http.client
import json
import sys
import time
import urllib.parse

_CHUNK = 1 << 16
_SECONDS = 120


def load(url: str, path: str, requests: int, size: int) -> float:
    """``requests`` one after the other over one connection, each answered with ``size`` bytes if that is not 0."""
    parts = urllib.parse.urlsplit(url)
    headers = {"Authorization": f"token {urllib.parse.parse_qs(parts.query)['token'][0]}"}
    connection = http.client.HTTPConnection("127.0.0.1", parts.port or 80, timeout=_SECONDS)
    connection.connect()
    began = time.monotonic()
    for _each in range(requests):
        connection.request("GET", parts.path.rpartition("/")[0] + path, headers=headers)
        answer = connection.getresponse()
        got = 0
        while chunk := answer.read(_CHUNK):
            got += len(chunk)
        if answer.status != 200 or (size and got != size):
            sys.exit(f"{path}: status {answer.status}, {got} bytes")
    return time.monotonic() - began


if __name__ == "__main__":
    print(load(**json.load(sys.stdin)))
