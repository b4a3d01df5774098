"""What ``status`` has found as one static page of HTML: for a phone or the lab's web server. No secret is in it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.module_utils.files import write_private
from ansible_collections.hpc.jupyter.plugins.module_utils.words import describe, duration, local_time, seconds_left

from hpc_jupyter.results import AccountStatus, Holding, Status

MARK = "hpc-jupyter status"
"""How a page names its maker; a file with it may be written anew."""
_TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class Row:
    """One session, or one account without; all of it as people read it."""

    account: str
    session: str
    state: str
    text: str
    node: str = ""
    starts: str = ""
    left: str = ""
    idle_since: str = ""
    route: str = ""


def rows(status: Status) -> list[Row]:
    """What is to be shown."""
    return [row for account in status.accounts for row in _rows(account)]


def _rows(account: AccountStatus) -> Iterator[Row]:
    held = {each.session: each for each in account.connections}
    for session in account.sessions:
        yield _row(account.account, session, _route(session, held.get(session["session"])))
    if account.problem or account.untold:
        yield Row(account.account, "", "no answer", account.problem or account.untold)
    elif not account.sessions:
        yield Row(account.account, "", "no session", "")


def _row(account: str, session: Mapping[str, Any], route: str) -> Row:
    left = seconds_left(str(session.get("ends_at") or ""))
    return Row(
        account,
        session=str(session["session"]),
        state=str(session["state"]),
        text=describe(session),
        node=str(session.get("node") or ""),
        starts=_time(session, "starts_at"),
        left="" if left is None or session["state"] == "ended" else duration(max(0.0, left)),
        idle_since=_time(session, "idle_since"),
        route=route,
    )


def _route(session: Mapping[str, Any], held: Holding | None) -> str:
    """By which a connection of this computer goes; without one for which the session is offered."""
    if held is not None:
        return f"{'connected' if held.up else 'reconnecting'} by {held.route}" if held.route else ""
    return f"offered for {' or '.join(session['routes'])}" if session.get("routes") else ""


def _time(session: Mapping[str, Any], key: str) -> str:
    return local_time(str(session.get(key) or ""))


def check(path: str) -> str:
    """Where the page goes; raises ``BadInput`` for a file that is no page of ours, before anything is asked."""
    place = Path(os.path.abspath(os.path.expanduser(path)))
    if not place.parent.is_dir():
        raise BadInput("--html", f"{place.parent} is not a directory", hint="Make it, or name another place")
    if os.path.lexists(place) and not _is_ours(place):
        raise BadInput("--html", f"{place} is no page that hpc-jupyter has made", hint="Name another file")
    return str(place)


def _is_ours(place: Path) -> bool:
    try:
        return f'<meta name="generator" content="{MARK}">' in place.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def write(path: str, status: Status, *, again_seconds: int = 0) -> None:
    """Replace the page; a browser that shows it asks for it anew every ``again_seconds``, if that is not 0."""
    mode = os.stat(path).st_mode & 0o777 if os.path.exists(path) else 0o600
    write_private(path, render(status, again_seconds=again_seconds).encode(), mode=mode)


def render(status: Status, *, again_seconds: int = 0) -> str:
    """The page."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True, autoescape=True,
    )  # fmt: skip
    now = datetime.now().astimezone()
    return environment.get_template("status.html.j2").render(
        mark=MARK, rows=rows(status), again=again_seconds, asked=now.strftime("%a %d %b %Y, %H:%M:%S %Z")
    )
