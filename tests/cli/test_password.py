"""Passwords and hashes: what is made is what Jupyter checks, and what Jupyter could not use is refused."""

from __future__ import annotations

import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import told_hash
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.plugin_utils import password
from argon2 import PasswordHasher

from tests.jupyter_env import jupyter_python

PASSWORD = "correct horse battery"
GOOD = "argon2:$argon2id$v=19$m=10240,t=10,p=8$Zml4ZWRmaXhlZGZpeGVk$" + "a" * 43
ASK_JUPYTER = "import sys; from jupyter_server.auth import passwd_check; print(passwd_check(*sys.argv[1:3]))"
MAKE_ONE = "Give the password itself as jupyter_server_password, or make a hash with: jupyter server password"


@pytest.fixture(scope="module")
def hashed() -> str:
    return password.password_hash(PASSWORD)


@pytest.mark.rows("B31", "T9")
@pytest.mark.parametrize("given", [PASSWORD, "  outer space kept ", "grüße aus köln", "短いパスワードではありません"])
def test_jupyter_itself_accepts_the_hash(given: str) -> None:
    made = password.password_hash(given)
    assert made.startswith("argon2:$argon2id$v=19$m=10240,t=10,p=8$")
    assert password.check_hash(made) == made
    for attempt, answer in ((given, "True"), (given + "x", "False")):
        done = subprocess.run(
            [jupyter_python(), "-c", ASK_JUPYTER, made, attempt], capture_output=True, text=True, check=True, timeout=60
        )
        assert done.stdout.strip() == answer


def _told(config: str, place: Path) -> Any:
    """What an account tells that has this configuration."""
    path = place / "config.json"
    path.write_text(config)
    return told_hash.told(str(path)).get("hash")


def test_a_hash_that_fits_is_kept_although_the_account_does_not_tell_it(hashed: str, tmp_path: Path) -> None:
    told = _told(f'{{"hashed_password": "{hashed}"}}', tmp_path)
    assert hashed.rpartition("$")[2] not in str(told)
    assert password.password_hash(PASSWORD, told) == hashed


@pytest.mark.parametrize("existing", ["", "{", "argon2:garbage", GOOD, GOOD.replace("10240", "99999999"), "sha1:aa:bb"])
def test_any_other_hash_is_replaced(existing: str, tmp_path: Path) -> None:
    made = password.password_hash(PASSWORD, _told(existing, tmp_path))
    assert made != existing
    assert PasswordHasher().verify(made.removeprefix("argon2:"), PASSWORD)


def test_two_hashes_of_one_password_differ(hashed: str) -> None:
    assert password.password_hash(PASSWORD) != hashed


@pytest.mark.rows("B32")
def test_a_decomposed_password_is_composed() -> None:
    composed = unicodedata.normalize("NFC", "schlüsselbrett")
    assert password.check_password(unicodedata.normalize("NFD", composed)) == composed


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        pytest.param("", "is empty", marks=pytest.mark.rows("B28")),
        (123456789012, "is not text. Write it in quotes"),
        pytest.param("elevenchars", "has fewer than 12 characters", marks=pytest.mark.rows("B29")),
        ("u\u0308" * 11, "has fewer than 12 characters"),
        ("twelve chars\n", "holds a line break, a NUL or another control character, which no login form can send"),
        ("twelve\0chars", "holds a line break, a NUL or another control character, which no login form can send"),
    ],
)
def test_a_password_that_cannot_be_is_refused(given: object, problem: str) -> None:
    with pytest.raises(BadInput) as caught:
        password.check_password(given)
    assert str(caught.value) == f"jupyter_server_password: {problem}"


@pytest.mark.rows("T9")
@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (42, "is not text. Write it in quotes"),
        (GOOD + "\n", "has white space around it, so that no password would match. Remove it"),
        (GOOD[7:], "lacks the prefix argon2:, so that no password would match. Write argon2: before it"),
        ("argon2:garbage", f"is not an argon2id hash; Jupyter would answer every login with an error. {MAKE_ONE}"),
        ("argon2:$argon2id$v=19$m=10240", f"is damaged; Jupyter would answer every login with an error. {MAKE_ONE}"),
        (GOOD[:-3], "is cut off, so that no password would match. Copy the whole line"),
        (GOOD.replace("argon2id", "argon2i"),
         f"is not an argon2id hash; Jupyter would answer every login with an error. {MAKE_ONE}"),
        (PASSWORD, f"is not a hash; nobody could log in. {MAKE_ONE}"),
        ("sha1:0e112c3ddfce:a68df677475c2b47b6e86d0467eec97ac5f4b85a",
         f"is a sha1 hash, which is quickly guessed. {MAKE_ONE}"),
        ("md5:aa:bb", f"is a md5 hash, which is quickly guessed. {MAKE_ONE}"),
        ("$2b$12$abcdefghijklmnopqrstuv", f"is of a kind that Jupyter cannot verify. {MAKE_ONE}"),
        ("$6$salt$abc", f"is of a kind that Jupyter cannot verify. {MAKE_ONE}"),
        ("$scrypt$ln=16$abc", f"is of a kind that Jupyter cannot verify. {MAKE_ONE}"),
    ],
)
def test_a_hash_that_jupyter_cannot_use_is_refused(given: object, problem: str) -> None:
    with pytest.raises(BadInput) as caught:
        password.check_hash(given)
    assert str(caught.value) == f"jupyter_server_password_hash: {problem}"


def test_a_good_hash_is_taken_as_it_is() -> None:
    assert password.check_hash(GOOD) == GOOD
    password.check_given("", GOOD)


def test_one_of_password_and_hash_is_enough() -> None:
    with pytest.raises(BadInput) as caught:
        password.check_given(PASSWORD, GOOD)
    assert str(caught.value) == (
        "jupyter_server_password: is given together with jupyter_server_password_hash. Give one of them"
    )


WITHOUT_PASSLIB = """
import sys
sys.modules["passlib"] = None
from ansible_collections.hpc.jupyter.plugins.plugin_utils import password
made = password.password_hash("correct horse battery")
from argon2 import PasswordHasher
print(PasswordHasher().verify(made[7:], "correct horse battery"), made.rsplit("$", 2)[0])
"""


@pytest.mark.parametrize("program", [WITHOUT_PASSLIB, WITHOUT_PASSLIB.replace('sys.modules["passlib"] = None', "")])
def test_it_works_without_passlib_and_with_warnings_as_errors(program: str) -> None:
    paths = [path for path in sys.path if path]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import sys; sys.path[:0] = {paths!r}\n{program}"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("True argon2:$argon2id$v=19$m=10240,t=10,p=8\n", "")
