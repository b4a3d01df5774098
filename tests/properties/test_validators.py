"""Whatever is given, a check answers with what is right or with ``BadInput``, and nothing dangerous is ever right."""

from __future__ import annotations

import base64
import contextlib
import string
import unicodedata
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import request
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.plugin_utils import password, variables
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import FACTS, ROUTES, Cluster
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hpc_jupyter.options import parse_variables
from hpc_jupyter.ports import parse_forward
from tests.properties import seeds

GOOD: dict[str, Any] = {"hpc_login_hosts": ["login"], "hpc_scheduler": "slurm"}
NAMES = sorted(variables.specs())
HOST = frozenset(string.ascii_letters + string.digits + "._-")
USER = HOST | set("@+")


def _is_host(text: str) -> bool:
    return 0 < len(text) <= 253 and text[0].isalnum() and set(text) <= HOST


def _is_user(text: str) -> bool:
    return 0 < len(text) <= 64 and text[0] not in "-." and ".." not in text and set(text) <= USER


@settings(max_examples=400)
@given(st.dictionaries(st.sampled_from(FACTS), seeds.values | st.lists(seeds.texts, max_size=3), max_size=4),
       st.sampled_from(["alice@lab", "lab", "a@b@lab"]))
def test_a_cluster_is_right_or_refused(facts: dict[str, Any], account: str) -> None:
    try:
        cluster = Cluster.from_facts({**GOOD, **facts}, account=account)
    except BadInput as error:
        assert error.field in (*FACTS, "inventory")
        assert str(error).startswith(f"{error.field}: ")
        return
    assert all(map(_is_host, (*cluster.login_hosts, *(gateway.host for gateway in cluster.gateways))))
    assert cluster.user != "root"
    assert all(_is_user(user) for user in (cluster.user, *(gateway.user for gateway in cluster.gateways)))
    assert all(0 < port < 65536 for port in (cluster.login_port, *(gateway.port for gateway in cluster.gateways)))
    assert cluster.root.startswith(("/", "~/"))
    assert set(cluster.root) <= HOST | set("/+@=,:~")
    assert cluster.route in ROUTES


PIN = "SHA256:" + "Ab+/" * 10 + "xyz (ED25519)"


@given(seeds.cut_or_changed(PIN, "Ab+/=: ()\n\u0661"))
@example(PIN)
@example(PIN + "\n")
def test_a_fingerprint_is_whole_or_refused(text: str) -> None:
    with contextlib.suppress(BadInput):
        [pin] = Cluster.from_facts({**GOOD, "hpc_host_keys": {"login": [text]}}, account="alice@lab").pins("login")
        assert str(pin) == text
        assert len(base64.b64decode(pin.fingerprint.removeprefix("SHA256:") + "=", validate=True)) == 32
        assert pin.kind in ("", "RSA", "ECDSA", "ED25519")


@given(seeds.cut_or_changed("bob@gate.example:2201", "ab@:.-0$ \n\u0661[]"))
@example("bob@gate.example:2201")
def test_a_gateway_is_what_was_written_or_refused(text: str) -> None:
    with contextlib.suppress(BadInput):
        [gateway] = Cluster.from_facts({**GOOD, "hpc_gateways": [text]}, account="alice@lab").gateways
        user = f"{gateway.user}@" if "@" in text else ""
        port = f":{gateway.port}" if ":" in text else ""
        assert f"{user}{gateway.host}{port}" == text


@given(seeds.texts)
def test_an_account_is_right_or_refused(account: str) -> None:
    with contextlib.suppress(BadInput):
        cluster = Cluster.from_facts(GOOD, account=account)
        assert _is_host(cluster.name)
        assert _is_user(cluster.user)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40)
@given(value=seeds.values)
@example(value=float("nan"))
@example(value={"a": {"b": []}})
def test_a_role_variable_is_right_or_refused_by_its_name(name: str, value: Any) -> None:
    try:
        variables.check_values({name: value})
    except BadInput as error:
        assert error.field == name
        assert len(str(error)) < 2000


@given(st.dictionaries(st.sampled_from(NAMES).flatmap(lambda name: seeds.cut_or_changed(name, "abc_")), st.none()))
def test_only_the_names_there_are_pass(names: dict[str, None]) -> None:
    with contextlib.suppress(BadInput):
        variables.check_names(names, all_ours=True)
        assert {name for name in names if name.startswith("jupyter_")} <= set(NAMES)


@given(seeds.texts)
def test_a_session_name_is_a_safe_word(text: str) -> None:
    with contextlib.suppress(BadInput):
        name = request.session_name(text)
        assert name == text
        assert 0 < len(name) <= 32
        assert name[0].isalnum()
        assert set(name) <= set(string.ascii_letters + string.digits + "_-")


@given(seeds.texts)
def test_a_directory_is_absolute_or_below_home_and_has_no_control_characters(text: str) -> None:
    with contextlib.suppress(BadInput):
        directory = request.check_directory(text)
        assert directory == text
        assert directory in ("", "~") or directory.startswith(("/", "~/"))
        assert not any(unicodedata.category(char) in ("Cc", "Cs") for char in directory)


WALLTIMES = st.builds("{}{}:{:02}:{:02}".format, st.sampled_from(["", "0-", "3-"]), st.integers(0, 9999),
                      st.integers(0, 61), st.integers(0, 61))  # fmt: skip


@given(seeds.texts | WALLTIMES)
def test_a_walltime_has_a_minute_at_least(text: str) -> None:
    with contextlib.suppress(BadInput):
        seconds = request.time_seconds(text)
        assert seconds >= 60
        assert text.isascii()
        assert seconds % 60 == int(text.rpartition(":")[2])


@pytest.mark.parametrize("name", request.RESOURCES)
@settings(max_examples=50)
@given(value=seeds.texts | st.lists(seeds.texts, max_size=2))
def test_a_resource_is_one_option_and_none_of_ours(name: str, value: Any) -> None:
    given_ = value if (name == "extra") == isinstance(value, list) else str(value)
    try:
        wanted = getattr(request.build_resources({name: list(given_) if name == "extra" else given_}), name)
    except BadInput as error:
        assert error.field == name
        return
    if name == "extra":
        assert all(option.startswith("-") and option.isprintable() for option in wanted)
        assert not any(option.startswith(("--wrap", "--export", "--w=", "-o", "-e")) for option in wanted)
    elif name != "exclusive":
        assert wanted == str(given_)
        assert " " not in wanted
        assert wanted.isprintable()
        assert wanted.isascii()


@given(seeds.values)
def test_a_password_is_right_or_refused_without_being_shown(value: Any) -> None:
    try:
        checked = password.check_password(value)
    except BadInput as error:
        assert len(str(value)) < 5 or str(value) not in str(error)
        return
    assert len(checked) >= 12
    assert unicodedata.is_normalized("NFC", checked)


HASH = "argon2:$argon2id$v=19$m=10240,t=10,p=8$Zml4ZWRmaXhlZGZpeGVk$" + "a" * 43


@given(seeds.texts | seeds.cut_or_changed(HASH, "$=,ab1 \n"))
def test_a_hash_is_one_that_jupyter_can_verify_or_refused(text: str) -> None:
    try:
        assert password.check_hash(text) == text
    except BadInput as error:
        assert len(text) < 5 or text not in str(error)
        return
    assert text.startswith("argon2:$argon2id$v=19$m=")
    assert text.count("$") == 5
    # verify() says False for what argon2 itself cannot read as well; it raises nothing.
    assert len(text) > 60


@given(seeds.texts)
def test_a_port_to_forward_is_a_port(text: str) -> None:
    with contextlib.suppress(BadInput):
        here, there = parse_forward(text)
        assert 0 < there < 65536
        assert here == 0 or 1024 <= here < 65536


@given(st.lists(st.builds("{}={}".format, st.sampled_from(NAMES) | seeds.texts, seeds.texts), max_size=2))
def test_a_variable_on_the_command_line_is_literal_or_refused(pairs: list[str]) -> None:
    with contextlib.suppress(BadInput):
        literally = {name: value for name, _equals, value in (pair.partition("=") for pair in pairs)}
        assert parse_variables(pairs) == literally
