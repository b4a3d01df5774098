"""Every bad input is refused before anything is contacted: exit code 2, the field, where it was written, what may be.

The rows are those of docs/reliability.md. What is wrong in the inventory is told by one run of the command for all.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hpc_jupyter import cli, ending, options
from hpc_jupyter.exits import Exit
from tests.cli.test_command import run

HOSTS = "Allowed are letters, digits, '.', '_' and '-', beginning with a letter or a digit, at most 253"
USERS = "Allowed are letters, digits and ._@+-, at most 64"
PORTS = "is not a decimal port. Allowed are 1 to 65535"
PINS = "Allowed is SHA256: and 43 characters of base64, then (RSA), (ECDSA) or (ED25519) if the kind is known"
TIMES = 'Write [D-]H:MM:SS in quotes, such as "2:00:00" for two hours or "1-12:00:00" for a day and a half'
MEMORY = "is not allowed. Write a number and K, M, G or T, such as 8G"
LONG = "h" * 254
HASHES = "Give the password itself as jupyter_server_password, or make a hash with: jupyter server password"
HASH = "argon2:$argon2id$v=19$m=10240,t=10,p=8$Zml4ZWRmaXhlZGZpeGVk$" + "a" * 43
PASSWORD = "canary-Zq7 battery"
GOOD = {"hpc_scheduler": "slurm", "hpc_login_hosts": ["login.invalid"]}


def _host(row: str, text: str) -> tuple[str, str, str]:
    return row, f"hpc_login_hosts: [{json.dumps(text)}]", f"hpc_login_hosts: {text!r} is not a host name. {HOSTS}"


def _user(row: str, text: str) -> tuple[str, str, str]:
    return row, f"hpc_user: {json.dumps(text)}", f"hpc_user: {text!r} is not a user name. {USERS}"


def _port(row: str, text: str, shown: str) -> tuple[str, str, str]:
    return row, f"hpc_login_port: {text}", f"hpc_login_port: {shown} {PORTS}"


def _hash(row: str, text: str, problem: str) -> tuple[str, str, str]:
    return row, f"jupyter_server_password_hash: {json.dumps(text)}", f"jupyter_server_password_hash: {problem}"


WRITTEN = [
    _host("B1", ""),
    _host("B2", "-oProxyCommand=x"),
    _host("B3", "a b"),
    _host("B4", "x;rm"),
    _host("B5", "$(id)"),
    _host("B6", "gate\n"),
    _host("B6", "gate\0x"),
    _host("B7", LONG),
    _host("B8", "bücher.example"),
    _host("B8", "\u202eetag"),
    *[("B5", f"hpc_login_hosts: ['{text}']", f"hpc_login_hosts: '{text}' is a number, which ssh takes for an address. "
       "Write the host's name, or all of its address") for text in ("0", "127.1", "0x7f000001", "host.256")],
    ("B9", "hpc_user: root",
     "hpc_user: ACCOUNT would log in as root, which is refused on clusters. Use a person's own account"),
    _user("B10", "-l"),
    _user("B11", "../x"),
    _user("B11", "a..b"),
    _user("B56", "=cmd"),
    ("B13", "hpc_gateways: [gate, bob@gate]", "hpc_gateways: gate:22 is there twice; the way would go in a loop"),
    ("B13", "hpc_gateways: [login.invalid]",
     "hpc_gateways: login.invalid:22 is a login host; the way would go in a loop"),
    _port("B14", "0", "0"),
    _port("B14", "abc", "'abc'"),
    _port("B14", "-1", "-1"),
    _port("B14", "22.5", "22.5"),
    _port("B14", "yes", "True"),
    ("B14", "hpc_login_port: 70000", "hpc_login_port: 70000 is not a port. Allowed are 1 to 65535"),
    ("B14", "hpc_gateways: ['gate:abc']", f"hpc_gateways: 'abc' {PORTS}"),
    _port("B15", "08888", "'08888'"),
    _port("B15", "'02222'", "'02222'"),
    ("B15", "hpc_login_port: 02222",
     "hpc_login_port: 02222 is not a decimal number; YAML reads it as 1170. Write it without the leading 0"),
    ("B15", "hpc_gateways: [{host: gate, port: 0100}]",
     "hpc_gateways: 0100 is not a decimal number; YAML reads it as 64. Write it without the leading 0"),
    ("B16", "jupyter_session_directory: notes",
     "jupyter_session_directory: 'notes' is relative. Start it with / or ~/"),
    ("B17", "jupyter_session_directory: ~other",
     "jupyter_session_directory: '~other' is relative. Start it with / or ~/"),
    ("B18", 'jupyter_session_directory: "/a\\nb"',
     "jupyter_session_directory: '/a\\nb' holds a control character, or is not UTF-8. Rename it"),
    ("B29", "jupyter_server_password: elevenchars", "jupyter_server_password: has fewer than 12 characters"),
    ("B30", f'jupyter_server_password: "{PASSWORD}\\n"',
     "jupyter_server_password: holds a line break, a NUL or another control character, which no login form can send"),
    _hash("B34", HASH[7:], "lacks the prefix argon2:, so that no password would match. Write argon2: before it"),
    _hash("B35", "argon2:garbage",
          f"is not an argon2id hash; Jupyter would answer every login with an error. {HASHES}"),
    _hash("B36", HASH[:-3], "is cut off, so that no password would match. Copy the whole line"),
    _hash("B36", HASH + "\n", "has white space around it, so that no password would match. Remove it"),
    _hash("B37", PASSWORD, f"is not a hash; nobody could log in. {HASHES}"),
    _hash("B38", "sha1:0e112c3ddfce:a68df677475c2b47b6e86d0467eec97ac5f4b85a",
          f"is a sha1 hash, which is quickly guessed. {HASHES}"),
    _hash("B38", "md5:aa:bb", f"is a md5 hash, which is quickly guessed. {HASHES}"),
    _hash("B39", "$2b$12$abcdefghijklmnopqrstuv", f"is of a kind that Jupyter cannot verify. {HASHES}"),
    _hash("B39", "$scrypt$ln=16$abc", f"is of a kind that Jupyter cannot verify. {HASHES}"),
    _hash("B39", "$6$salt$abc", f"is of a kind that Jupyter cannot verify. {HASHES}"),
    ("B41", f"jupyter_server_password: {PASSWORD}",
     "jupyter_server_password: is in clear in FILE, which others can read. "
     "Encrypt it (ansible-vault encrypt_string --name jupyter_server_password), or chmod 600 FILE"),
    ("B42", "jupyter_session_time: 1:60", f"jupyter_session_time: '1:60' is not a walltime. {TIMES}"),
    ("B42", "jupyter_session_time: 2:00:00",
     "jupyter_session_time: 2:00:00 is not a decimal number; YAML reads it as 7200. Write it in quotes"),
    ("B42", "jupyter_session_time: 0", f"jupyter_session_time: '0' is not a walltime. {TIMES}"),
    ("B42", "jupyter_session_time: forever", f"jupyter_session_time: 'forever' is not a walltime. {TIMES}"),
    ("B43", "jupyter_session_memory: 10 GB", f"jupyter_session_memory: '10 GB' {MEMORY}"),
    ("B45", 'jupyter_session_extra: ["--comment=a\\nb"]',
     "jupyter_session_extra: '--comment=a\\nb' is not an option. Write one option a list item, such as --licenses=a:1"),
    ("B45", "jupyter_session_extra: [--export=ALL,SECRET]",
     "jupyter_session_extra: --export is set by hpc.jupyter itself and cannot be given"),
    ("B46", "jupyter_session_name: 100%j", "jupyter_session_name: '100%j' is not allowed. "
     "Use up to 32 letters, digits, '_' or '-', a letter or digit first"),
    ("B47", "hpc_scheduler: slrum",
     "hpc_scheduler: 'slrum' is not one of none, slurm, pbs, sge, lsf. Did you mean slurm?"),
    ("B48", "jupyter_session_gpus: -1", "jupyter_session_gpus: '-1' is not allowed. "
     "Write a number, or a type and a number, such as 1 or a100:2"),
    ("B50", "jupyter_session_job: 12_3",
     "jupyter_session_job: 12_3 is not a decimal number; YAML reads it as 123. Write it in quotes"),
    ("B53", "hpc_login_host: login", "hpc_login_host: is not a cluster fact. Did you mean hpc_login_hosts?"),
    ("B53", "jupyter_server_hashed_passwrod: x", "jupyter_server_hashed_passwrod: is not a variable of the roles. "
     "Did you mean jupyter_server_password?"),
    ("B53", "jupyter_sesion_time: '1:00:00'",
     "jupyter_sesion_time: is not a variable of the roles. Did you mean jupyter_session_time?"),
    ("B53", "jupyter_environment_kernels: [{name: x, paht: /x}]",
     "jupyter_environment_kernels: 'paht' is not one of its keys. Did you mean path?"),
    ("B53", "jupyter_environment_kernels: [{path: /x}]",
     "jupyter_environment_kernels: an item of the list lacks 'name'"),
    ("B53", "jupyter_environment_kind: vnev", "jupyter_environment_kind: 'vnev' is not one of venv, existing, module, "
     "conda, command. Did you mean venv?"),
    ("B53", "jupyter_environment_purge: maybe", "jupyter_environment_purge: 'maybe' is not true or false"),
    ("B53", "jupyter_environment_modules: [yes]",
     "jupyter_environment_modules: True is not text, as each item must be. Write it in quotes"),
    ("B53", "jupyter_environment_command: {a: b}", "jupyter_environment_command: {'a': 'b'} is not a list"),
    ("B53", "jupyter_session_nice: 1.5", "jupyter_session_nice: 1.5 is not a whole number"),
    ("B53", "jupyter_session_idle_seconds: -1",
     "jupyter_session_idle_seconds: '-1' is not allowed. Write a number of seconds"),
    ("F46", "jupyter_session_idle_seconds: 86401",
     "jupyter_session_idle_seconds: 86401 is not allowed here. Write 1 to 86400 seconds (1 d)"),
    ("F46", "jupyter_session_idle_seconds: 0",
     "jupyter_session_idle_seconds: 0, which is never, is not allowed here. Write 1 to 86400 seconds (1 d)"),
    ("B53", "jupyter_session_warn_minutes: [soon]",
     "jupyter_session_warn_minutes: 'soon' is not a whole number, as each item must be"),
    ("B53", "jupyter_session_warn_minutes: [0]",
     "jupyter_session_warn_minutes: '0' is not allowed. Write minutes before the end, from 1"),
    ("B53", "jupyter_server_certificate_days: 4000", "jupyter_server_certificate_days: 4000 is not between 1 and 3650"),
    ("B53", "jupyter_server_password: 1234_5678_9012", "jupyter_server_password: is not text. Write it in quotes"),
    ("B53", "jupyter_server_password: [1]", "jupyter_server_password: it is not text. Write it in quotes"),
    ("B54", "hpc_login_port: 99999999", f"hpc_login_port: 99999999 {PORTS}"),
    ("B62", "hpc_host_keys: {gate: ['MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48']}",
     "hpc_host_keys: gate: MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48 is an MD5 fingerprint, which no longer "
     "proves anything. Ask the site for the SHA256 one (ssh-keygen -l -E sha256)"),
    ("B62", "hpc_host_keys: {gate: ['SHA256:not base64']}",
     f"hpc_host_keys: gate: 'SHA256:not base64' is not a fingerprint. {PINS}"),
]  # fmt: skip


def _parameters(rows: list[tuple[str, str, str]]) -> list[Any]:
    return [
        pytest.param(number, message, marks=pytest.mark.rows(row), id=f"{row}-{line[:40]}")
        for number, (row, line, message) in enumerate(rows)
    ]


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A directory for everything that this module writes."""
    with tempfile.TemporaryDirectory(prefix="hj-", dir="/tmp") as path:
        yield Path(path)


@pytest.fixture(scope="module")
def own(home: Path) -> dict[str, str]:
    """An environment in which an ssh that is started leaves a trace, as would anything else that is contacted."""
    (home / "bin").mkdir()
    (home / "bin/ssh").write_text(f"#!/bin/sh\necho ssh >> {home}/contacted\nexit 255\n")
    (home / "bin/ssh").chmod(0o755)
    paths = os.pathsep.join(item for item in sys.path if item)
    return {
        "HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "PYTHONPATH": paths, "LC_ALL": "C.UTF-8",
        "PATH": f"{home / 'bin'}:{os.environ['PATH']}", "TERM": "dumb",
    }  # fmt: skip


@pytest.fixture(scope="module")
def inventory(home: Path) -> Path:
    """An account for each line of ``WRITTEN``, on a cluster of its own; the bad line is always the second."""
    path = home / "inventory"
    (path / "group_vars").mkdir(parents=True)
    groups: dict[str, Any] = {f"lab{number}": {"hosts": {f"alice@lab{number}": {}}} for number in range(len(WRITTEN))}
    (path / "hosts.yml").write_text(json.dumps({"all": {"children": groups}}))
    for number, (row, line, _message) in enumerate(WRITTEN):
        others = [f"{name}: {json.dumps(value)}" for name, value in GOOD.items() if not line.startswith(f"{name}:")]
        file = path / f"group_vars/lab{number}.yml"
        file.write_text("\n".join(["---", line, *others]) + "\n")
        file.chmod(0o644 if row == "B41" else 0o600)
    return path


@pytest.fixture(scope="module")
def told(own: dict[str, str], inventory: Path) -> dict[str, str]:
    """What the command says of each account."""
    done = run(own, "-i", str(inventory), "accounts", "--json")
    assert done.returncode == Exit.BAD_INPUT
    assert PASSWORD.encode() not in done.stdout.encode() + done.stderr.encode()
    return {line["account"]: line["problem"] for line in json.loads(done.stdout)["accounts"]}


@pytest.mark.parametrize(("number", "message"), _parameters(WRITTEN))
def test_what_is_wrong_in_the_inventory_is_told_with_its_place(
    told: dict[str, str], inventory: Path, number: int, message: str
) -> None:
    file = str(inventory / f"group_vars/lab{number}.yml")
    expected = message.replace("FILE", file).replace("ACCOUNT", f"alice@lab{number}")
    assert told[f"alice@lab{number}"] == f"{file}:2: {expected}"


@pytest.mark.rows("B2", "B53")
@pytest.mark.parametrize("wanted", ["B2", "B53"])
def test_nothing_is_contacted_and_nothing_written(
    own: dict[str, str], inventory: Path, home: Path, wanted: str
) -> None:
    number = [row for row, _line, _message in WRITTEN].index(wanted)
    done = run(own, "-i", str(inventory), "launch", f"alice@lab{number}")
    assert (done.returncode, done.stdout) == (Exit.BAD_INPUT, "")
    where = f"{inventory}/group_vars/lab{number}.yml:2"
    assert done.stderr.startswith(f"hpc-jupyter: {where}: {WRITTEN[number][1].split(':')[0]}: ")
    assert not (home / "contacted").exists()
    assert not (home / "state").exists()


NAMES = "Use up to 32 letters, digits, '_' or '-', a letter or digit first"
OPTION = "Write one option a list item, such as --licenses=a:1"
TYPED = [
    ("B16", ["--directory", "notes"], "directory: 'notes' is relative. Start it with / or ~/"),
    ("B17", ["--directory", "~other"], "directory: '~other' is relative. Start it with / or ~/"),
    ("B18", ["--directory", "/a\nb"], "directory: '/a\\nb' holds a control character, or is not UTF-8. Rename it"),
    ("B27", ["--directory", "/caf\udce9"],
     "directory: '/caf\\udce9' holds a control character, or is not UTF-8. Rename it"),
    ("B33", ["-e", f"jupyter_server_password={PASSWORD}"],
     "-e: jupyter_server_password is a secret, and others can read command lines. "
     "Use `hpc-jupyter setup ACCOUNT --password`, or a vault in the inventory"),
    ("B33", ["-e", f"jupyter_server_authority_passphrase={PASSWORD}"],
     "-e: jupyter_server_authority_passphrase is a secret, and others can read command lines. "
     "Use a vault in the inventory"),
    ("B42", ["--time", "0"], f"time: '0' is not a walltime. {TIMES}"),
    ("B42", ["--time", "forever"], f"time: 'forever' is not a walltime. {TIMES}"),
    ("B42", ["--time", "0:00:59"], "time: '0:00:59' is shorter than a minute. Write a longer one, such as \"2:00:00\""),
    ("B42", ["--time", "\u0661:00:00"], f"time: '\u0661:00:00' is not a walltime. {TIMES}"),
    ("B43", ["--memory", "10 GB"], f"memory: '10 GB' {MEMORY}"),
    ("B45", ["--extra", "--wrap"], "extra: --wrap is set by hpc.jupyter itself and cannot be given"),
    ("B45", ["--extra", "--expo=ALL,SECRET"], "extra: --expo is set by hpc.jupyter itself and cannot be given"),
    ("B45", ["--extra", "-Ho/tmp/x"], f"extra: '-Ho/tmp/x' has several options in one. {OPTION}"),
    ("B45", ["--extra", "--"], f"extra: '--' is not an option. {OPTION}"),
    ("B45", ["--extra", "--comment=a\nb"], f"extra: '--comment=a\\nb' is not an option. {OPTION}"),
    ("B46", ["--session", "x" * 65], f"session: '{'x' * 65}' is not allowed. {NAMES}"),
    ("B46", ["--session", "a b"], f"session: 'a b' is not allowed. {NAMES}"),
    ("B46", ["--session", "%j"], f"session: '%j' is not allowed. {NAMES}"),
    ("B48", ["--gpus", "-1"],
     "gpus: '-1' is not allowed. Write a number, or a type and a number, such as 1 or a100:2"),
    ("B50", ["--job", "12_3"], "job: '12_3' is not allowed. Write the number of a job of yours, as squeue shows it"),
    ("B50", ["--job", "12+1"], "job: '12+1' is not allowed. Write the number of a job of yours, as squeue shows it"),
    ("B53", ["-e", "jupyter_session_tmie=1:00:00"],
     "-e: jupyter_session_tmie: is not a variable of the roles. Did you mean jupyter_session_time?"),
    ("B53", ["-e", "jupyter_foo=1"], "-e: jupyter_foo: is not a variable of the roles. Known are: jupyter_access, "
     "jupyter_environment, jupyter_server, jupyter_session, each with its own"),
    ("B53", ["-e", "jupyter_session_memory=10 GB"], f"-e: jupyter_session_memory: '10 GB' {MEMORY}"),
    ("B53", ["-e", "jupyter_session_nice=soon"], "-e: jupyter_session_nice: 'soon' is not a whole number"),
    ("B54", ["--forward", "99999999"], "--forward: '99999999' is not PORT or LOCAL:PORT. Write for example --forward "
     "8787 or 9000:8787; LOCAL is 1024 to 65535, PORT 1 to 65535"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(arguments, message, marks=pytest.mark.rows(row), id=f"{row}-{' '.join(arguments)[:40]!a}")
        for row, arguments, message in TYPED
    ],
)
def test_what_is_typed_wrong_is_refused_before_the_inventory_is_read(
    capfd: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    code = ending.run(cli.cli, ["-i", "/does/not/exist", "launch", "alice@lab", *arguments])
    assert (code, *capfd.readouterr()) == (Exit.BAD_INPUT, "", f"hpc-jupyter: {message}\n")


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/a/{{ lookup('pipe', 'touch /tmp/x') }}", marks=pytest.mark.rows("B19")),
        *[pytest.param(f"~/a {sign} b", marks=pytest.mark.rows("B20")) for sign in ("$(id)", "`id`", "'", '"', "\\")],
        "/café/✓",
    ],
)
def test_signs_in_a_directory_are_only_signs(path: str) -> None:
    wanted = options.launch({"session": "s", "directory": path})
    assert wanted.variables["jupyter_session_directory"] == path


@pytest.mark.rows("B55")
def test_an_editors_marks_and_somebody_elses_variables_are_no_obstacle(own: dict[str, str], home: Path) -> None:
    facts = "hpc_scheduler: slurm, hpc_login_hosts: [login], jupyter_lab_port: 1, jupyterhub_x: 2, "
    facts += f"jupyter_server_password: \"{{{{ lookup('pipe', 'touch {home}/asked') }}}}\""
    (home / "theirs.yml").write_bytes(f"\ufefflab:\r\n  hosts:\r\n    alice@lab: {{{facts}}}\r\n".encode())
    done = run(own, "-i", str(home / "theirs.yml"), "accounts")
    assert (done.returncode, done.stdout) == (Exit.OK, "alice@lab  slurm, login\n")
    assert not (home / "asked").exists()


UNREADABLE = [
    ("B51", "all:\n  hosts: {alice@lab: {}}\n  hosts: {}", "Found duplicate mapping key 'hosts'."),
    ("B57", "all:\n  hosts:\n    {alice@lab: {}, alice@lab: {}}", "Found duplicate mapping key 'alice@lab'."),
    ("B51", "a: 1\nhpc_scheduler: slurm\nhpc_scheduler: none", "Found duplicate mapping key 'hpc_scheduler'."),
    ("B52", "a: 1\nb: 2\nhpc_root: !!python/object/apply:os.mkdir [CANARY]",
     "Could not determine a constructor for the tag 'tag:yaml.org,2002:python/object/apply:os.mkdir'."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"), [pytest.param(text, message, marks=pytest.mark.rows(row)) for row, text, message in UNREADABLE]
)
def test_a_file_that_is_not_what_it_seems_is_refused_with_the_line(
    own: dict[str, str], tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "hosts.yml").write_text("all: {children: {lab: {hosts: {alice@lab: {}}}}}")
    file = "hosts.yml" if text.startswith("all:") else "group_vars/lab.yml"
    (tmp_path / file).write_text(text.replace("CANARY", str(tmp_path / "canary")))
    done = run(own, "-i", str(tmp_path), "launch", "alice@lab")
    assert (done.returncode, done.stdout) == (Exit.BAD_INPUT, "")
    assert done.stderr == (
        f"hpc-jupyter: {tmp_path}/{file}:3: inventory: {tmp_path} cannot be read: "
        f"YAML parsing failed: {message}\n"
    )
    assert not (tmp_path / "canary").exists()


@pytest.mark.rows("B12", "B58")
def test_an_empty_file_has_no_accounts(own: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").touch()
    done = run(own, "-i", str(tmp_path / "hosts.yml"), "launch", "alice@lab")
    assert done.returncode == Exit.BAD_INPUT
    assert done.stderr == (
        f"hpc-jupyter: ACCOUNT: 'alice@lab' is not in the inventory. It has no accounts ({tmp_path}/hosts.yml)\n"
    )


@pytest.mark.rows("B59")
def test_a_line_of_ten_megabytes_is_refused_without_being_repeated(own: dict[str, str], tmp_path: Path) -> None:
    facts = {**GOOD, "hpc_user": "x" * 10_000_000}
    (tmp_path / "hosts.json").write_text(json.dumps({"lab": {"hosts": {"alice@lab": facts}}}))
    done = run(own, "-i", str(tmp_path / "hosts.json"), "launch", "alice@lab")
    assert done.returncode == Exit.BAD_INPUT
    assert f"/hosts.json: hpc_user: '{'x' * 100}" in done.stderr
    assert done.stderr.endswith(f"xx' is not a user name. {USERS}\n")
    assert len(done.stderr) < 2000
