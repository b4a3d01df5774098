# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether this account can reach a package index, found out in seconds: pip itself would try for minutes."""

from __future__ import annotations

import configparser
import os
import re
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Mapping, Sequence

SECONDS = 8.0
DEFAULT = "https://pypi.org/simple"
PIP_CONFIGS = ("/etc/pip.conf", "/etc/xdg/pip/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf")
UV_CONFIGS = ("/etc/uv/uv.toml", "~/.config/uv/uv.toml")

_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
_UV_URL = re.compile(r"""^\s*(?:index-url|url)\s*=\s*["']([^"']+)["']""", re.MULTILINE)
_NOBODY_THERE = (407, 502, 503, 504)
"""What a proxy says that does not lead on."""


@dataclass(frozen=True)
class Indexes:
    """Where this account's installers look; ``elsewhere`` says that they have been told of directories, too."""

    urls: tuple[str, ...]
    proxy: str = ""
    elsewhere: bool = False


def configured(
    environment: Mapping[str, str], *, pip: Sequence[str] = PIP_CONFIGS, uv: Sequence[str] = UV_CONFIGS
) -> Indexes:
    """What pip and uv have been told on this account."""
    more = [environment["PIP_CONFIG_FILE"]] if environment.get("PIP_CONFIG_FILE") else []
    told = [section for path in [*pip, *more] for section in _sections(path)]
    urls = [environment[name] for name in _VARIABLES if environment.get(name)]
    urls += [section["index-url"] for section in told if section.get("index-url")]
    urls += [url for path in uv for url in _UV_URL.findall(_text(path))]
    proxies = [section["proxy"] for section in told if section.get("proxy")]
    elsewhere = any(section.get("find-links") for section in told) or bool(environment.get("PIP_FIND_LINKS"))
    return Indexes(tuple(dict.fromkeys(urls)) or (DEFAULT,), (proxies or [""])[-1], elsewhere)


def unreachable(indexes: Indexes, *, seconds: float = SECONDS) -> str:
    """In words why none of ``indexes`` can be reached; empty if one can, or if it is no question of a network."""
    if indexes.elsewhere:
        return ""
    problems = [_problem(url, indexes.proxy, seconds=seconds) for url in indexes.urls]
    return "" if "" in problems else "; ".join(problems)


def _problem(url: str, proxy: str, *, seconds: float) -> str:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return ""
    # Who is there is the question, not who we are: pip knows what to log in with.
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], path=parts.path.rstrip("/") + "/uv/").geturl()
    said = [f"{parts.hostname} did not answer within {seconds:g} seconds"]

    def ask() -> None:
        said[0] = _asked(bare, proxy, parts.hostname or url, seconds=seconds)

    # The resolver has deadlines of its own, and an address that leads nowhere is tried for each of a name's addresses.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds)
    return said[0]


def _asked(url: str, proxy: str, host: str, *, seconds: float) -> str:
    proxies = {"http": proxy, "https": proxy} if proxy else None
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler(proxies)).open(url, timeout=seconds):
            return ""
    except urllib.error.HTTPError as error:
        return f"the proxy before {host} answers {error.code}" if error.code in _NOBODY_THERE else ""
    except urllib.error.URLError as error:
        return "" if isinstance(error.reason, ssl.SSLError) else f"{host} cannot be reached ({error.reason})"
    except (OSError, ValueError) as error:
        return f"{host} cannot be reached ({error})"


def _sections(path: str) -> list[Mapping[str, str]]:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(_text(path))
    except configparser.Error:
        return []
    return [dict(parser[name]) for name in ("global", "install") if parser.has_section(name)]


def _text(path: str) -> str:
    try:
        with open(os.path.expanduser(path), encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""
