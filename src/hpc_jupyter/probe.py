"""Asking a session itself, with its token: the one proof that an address leads there."""

from __future__ import annotations

import http
from dataclasses import dataclass
from typing import Any

ANSWER_SECONDS = 5.0


@dataclass(frozen=True)
class Answer:
    """What a session's address answers: ``ok``, or why not; ``final`` if asking again would not help.

    ``late`` if nothing was answered at all in the time there was.
    """

    ok: bool
    reason: str = ""
    final: bool = False
    late: bool = False


def load() -> None:
    """Load what asking needs, while there is nothing to ask yet."""
    import urllib3  # noqa: F401


def ask(url: str, token: str, *, sha256: str = "", seconds: float = ANSWER_SECONDS) -> Answer:
    """Ask a session for its status, with its token; this does not count as activity there.

    Over https the certificate must be the one with the fingerprint ``sha256``; the token is not sent before.
    """
    import urllib3

    if url.startswith("https:") and not sha256:
        return Answer(ok=False, reason=f"no certificate is known of {url}, so the token was not sent", final=True)
    try:
        # No authority has signed the certificate and no name is in it that counts: the fingerprint says it all.
        secured: Any = {"cert_reqs": "CERT_NONE", "assert_fingerprint": sha256} if sha256 else {}
        pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(seconds), **secured)
        headers = {"Authorization": f"token {token}"}
        response = pool.request("GET", f"{url}api/status", headers=headers, redirect=False)
    except urllib3.exceptions.SSLError as error:
        return _judge_tls(str(error), url, sha256)
    except urllib3.exceptions.HTTPError as error:
        late = isinstance(error, urllib3.exceptions.TimeoutError)
        return Answer(ok=False, reason=f"nothing answers at {url} ({type(error).__name__})", late=late)
    return _judge(response.status, response.data, url)


def _judge_tls(said: str, url: str, sha256: str) -> Answer:
    if "EOF" in said:
        return Answer(ok=False, reason=f"nothing answers at {url} (the connection was closed)")
    if "ingerprints did not match" not in said:
        return Answer(ok=False, reason=f"what answers at {url} does not speak TLS as the session does")
    return Answer(
        ok=False,
        reason=f"what answers at {url} shows another certificate than the session's (SHA-256 {sha256}); "
        "the token was not sent",
        final=True,
    )


def _judge(status: int, body: bytes, url: str) -> Answer:
    if status == http.HTTPStatus.OK and b'"started"' in body:
        return Answer(ok=True)
    if status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
        return Answer(ok=False, reason=f"what answers at {url} does not take the session's token", final=True)
    return Answer(ok=False, reason=f"what answers at {url} is not the session (HTTP {status})")


def fetch(url: str, path: str, token: str, *, sha256: str = "", seconds: float = ANSWER_SECONDS) -> tuple[int, bytes]:
    """Status and body of ``path`` below a session's ``url``; raises ``OSError`` where nobody, or another, answers."""
    import urllib3

    if url.startswith("https:") and not sha256:
        raise OSError(f"no certificate is known of {url}")
    secured: Any = {"cert_reqs": "CERT_NONE", "assert_fingerprint": sha256} if sha256 else {}
    try:
        with urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(seconds), **secured) as pool:
            response = pool.request("GET", url + path, headers={"Authorization": f"token {token}"}, redirect=False)
            return response.status, response.data
    except urllib3.exceptions.HTTPError as error:
        raise OSError(str(error)) from error
