# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords and the hashes of them that Jupyter checks. Runs on the controller; no message holds a secret."""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput

if TYPE_CHECKING:
    from argon2 import PasswordHasher

PREFIX = "argon2:"
SHORTEST = 12
MEMORY_KIB, PASSES, LANES = 10240, 10, 8
"""What ``jupyter server password`` takes; more work than OWASP's minimum for argon2id."""

_ARGON2ID = re.compile(
    r"\$argon2id\$v=19\$m=[1-9][0-9]{0,8},t=[1-9][0-9]{0,8},p=[1-9][0-9]{0,8}\$(?P<salt>[A-Za-z0-9+/]+)\$(?P<sum>[A-Za-z0-9+/]+)"
)
_SETTINGS = re.compile(
    rf"\$argon2id\$v=19\$m={MEMORY_KIB},t={PASSES},p={LANES}\$(?P<salt>[A-Za-z0-9+/]{{11,86}})"
)
_SUM_LENGTHS = (22, 32, 43, 64, 86)
"""Characters of 16, 24, 32, 48 and 64 bytes; anything else was cut off."""
_BROKEN_DIGESTS = ("sha1", "sha", "md5", "sha224", "sha256", "sha384", "sha512")
_FOREIGN = re.compile(r"\$(?:2[abxy]?|5|6|1|7|y|gy|scrypt|pbkdf2[a-z0-9-]*)\$|(?:bcrypt|scrypt|pbkdf2)[:$_]")
_MAKE_ONE = "Give the password itself as jupyter_server_password, or make a hash with: jupyter server password"


def check_given(value: object, hashed: object) -> None:
    """Raise ``BadInput`` for a password and a hash, either of them empty, that cannot be a session's."""
    if value != "" and hashed != "":
        raise BadInput(
            "jupyter_server_password", "is given together with jupyter_server_password_hash", hint="Give one of them"
        )
    if value != "":
        check_password(value)
    if hashed != "":
        check_hash(hashed)


def check_password(value: object) -> str:
    """The password as it is hashed: in Unicode's composed form, as keyboards send it. Raises ``BadInput``."""
    field = "jupyter_server_password"
    if not isinstance(value, str):
        raise BadInput(field, "is not text", hint="Write it in quotes")
    if not value:
        raise BadInput(field, "is empty")
    if any(unicodedata.category(char) == "Cc" for char in value):
        raise BadInput(field, "holds a line break, a NUL or another control character, which no login form can send")
    password = unicodedata.normalize("NFC", value)
    if len(password) < SHORTEST:
        raise BadInput(field, f"has fewer than {SHORTEST} characters")
    return password


def check_hash(value: object) -> str:
    """A hash that Jupyter can verify, as it is. Raises ``BadInput``, which says why Jupyter could not."""
    if not isinstance(value, str):
        raise _bad_hash("is not text", hint="Write it in quotes")
    if value != value.strip():
        raise _bad_hash("has white space around it, so that no password would match", hint="Remove it")
    if value.startswith("$argon2"):
        raise _bad_hash(f"lacks the prefix {PREFIX}, so that no password would match", hint=f"Write {PREFIX} before it")
    if not value.startswith(PREFIX):
        raise _not_argon2(value)
    return _check_argon2(value)


def _not_argon2(value: str) -> BadInput:
    name = value.split(":", 1)[0]
    if name in _BROKEN_DIGESTS and ":" in value:
        return _bad_hash(f"is a {name} hash, which is quickly guessed", hint=_MAKE_ONE)
    if _FOREIGN.match(value):
        return _bad_hash("is of a kind that Jupyter cannot verify", hint=_MAKE_ONE)
    return _bad_hash("is not a hash; nobody could log in", hint=_MAKE_ONE)


def _check_argon2(value: str) -> str:
    match = _ARGON2ID.fullmatch(value[len(PREFIX):])
    if match is None:
        problem = "is damaged" if "$argon2id$" in value else "is not an argon2id hash"
        raise _bad_hash(f"{problem}; Jupyter would answer every login with an error", hint=_MAKE_ONE)
    if len(match["sum"]) not in _SUM_LENGTHS or len(match["salt"]) < 11 or len(match["salt"]) % 4 == 1:
        raise _bad_hash("is cut off, so that no password would match", hint="Copy the whole line")
    return value


def _bad_hash(problem: str, *, hint: str) -> BadInput:
    return BadInput("jupyter_server_password_hash", problem, hint=hint)


def has_outer_space(password: str) -> bool:
    """Whether it begins or ends with a space, which is easily lost."""
    return password != password.strip()


def password_hash(password: object, known: Mapping[str, Any] | None = None) -> str:
    """The hash of ``password`` as Jupyter checks it: the one that the account told of, if that fits, or a new one."""
    checked = check_password(password)
    return (_kept(checked, known) if known else "") or make(checked)


def _kept(password: str, known: Mapping[str, Any]) -> str:
    """The hash in use, made again with its salt; empty if it is another password's, or not one that is made here."""
    from argon2.low_level import Type, hash_secret

    match = _SETTINGS.fullmatch(known["settings"])
    if match is None or known["bytes"] not in (16, 32):
        return ""
    salt = base64.b64decode(match["salt"] + "=" * (-len(match["salt"]) % 4))
    costs = {"memory_cost": MEMORY_KIB, "time_cost": PASSES, "parallelism": LANES}
    made = hash_secret(password.encode(), salt, **costs, hash_len=known["bytes"], type=Type.ID)
    hashed = PREFIX + made.decode("ascii")
    return hashed if hashlib.sha256(hashed.encode()).hexdigest() == known["sha256"] else ""


def make(password: str) -> str:
    """A new hash of ``password``, with a salt of its own."""
    with warnings.catch_warnings():
        # passlib's last release uses crypt and argon2.__version__, which are deprecated.
        warnings.simplefilter("ignore")
        try:
            from passlib.hash import argon2

            hasher = argon2.using(type="ID", memory_cost=MEMORY_KIB, time_cost=PASSES, parallelism=LANES)
            return PREFIX + str(hasher.hash(password))
        except (ImportError, AttributeError):
            return PREFIX + _argon2_cffi().hash(password)


def _argon2_cffi() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher(memory_cost=MEMORY_KIB, time_cost=PASSES, parallelism=LANES)
