"""Open a session in the browser without its token on any command line."""

from __future__ import annotations

import contextlib
import html
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

_KEEP_SECONDS = 60
_PATIENCE_SECONDS = 3.0
_SCREENS = ("DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME")
"""What says that somebody looks at a screen; in WSL it is the browser of Windows that opens."""
_OPENERS: list[subprocess.Popen[bytes]] = []
"""They outlive this process; nobody waits for them."""
_OPENER = """\
import os, pathlib, subprocess, sys, time, webbrowser
path, seconds = sys.argv[1], float(sys.argv[2])
def opened():
    if "WSL_DISTRO_NAME" not in os.environ or "BROWSER" in os.environ:
        return webbrowser.open(pathlib.Path(path).as_uri())
    windows = subprocess.run(["wslpath", "-w", path], capture_output=True, check=True, text=True).stdout.strip()
    # explorer.exe ends with 1 whether it has opened the file or not
    return subprocess.run(["explorer.exe", windows], check=False).returncode in (0, 1)
try:
    done = opened()
    if done:
        time.sleep(seconds)
finally:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
sys.exit(0 if done else 1)
"""
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={url}">
<title>Opening JupyterLab</title>
</head>
<body><p><a href="{url}">Open JupyterLab</a></p></body>
</html>
"""


def is_there(environment: Mapping[str, str], *, platform: str = sys.platform) -> bool:
    """Whether there is a graphical browser to open; one for the terminal would take it over."""
    if environment.get("BROWSER") or platform == "darwin":
        return True
    return any(environment.get(name) for name in _SCREENS)


def show(url: str, *, directory: Path, session: str) -> bool:
    """Open ``url`` by way of a 0600 file in ``directory`` (0700); whether a browser could be started.

    The file is removed a minute later by the process that started the browser, whatever becomes of this one.
    """
    _remove_old(directory)
    path = directory / f"open-{session}-{os.getpid()}.html"
    _write(path, _PAGE.format(url=html.escape(url, quote=True)))
    opener = subprocess.Popen(
        [sys.executable, "-I", "-c", _OPENER, str(path), str(_KEEP_SECONDS)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    _OPENERS.append(opener)
    with contextlib.suppress(subprocess.TimeoutExpired):
        return opener.wait(timeout=_PATIENCE_SECONDS) == 0
    return True


def _write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)


def left_behind(directory: Path) -> list[Path]:
    """The pages that should have been removed by now: the process that was to do it was killed."""
    return [path for path in sorted(directory.glob("open-*.html")) if _age_seconds(path) > _KEEP_SECONDS]


def _age_seconds(path: Path) -> float:
    try:
        return time.time() - path.lstat().st_mtime
    except OSError:
        return 0.0


def _remove_old(directory: Path) -> None:
    for path in left_behind(directory):
        with contextlib.suppress(OSError):
            path.unlink()
