"""What is read from files, hosts and programs may hold anything: it is understood, or refused; nothing crashes."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, fields, replace
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import node, request, wishes
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, RecordError
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster, Gateway
from ansible_collections.hpc.jupyter.plugins.plugin_utils.entrance import framed
from ansible_collections.hpc.jupyter.plugins.plugin_utils.explain import explain
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hpc_jupyter.errors import NoForward
from hpc_jupyter.route import plan
from tests.properties import seeds

RECORD = rec.Record(
    "default", "lab", "alice@lab", "slurm", generation=3, state="ready", node="c1", socket="/tmp/hpcj-x/s", pid=7,
    base_url="/0123abcd/", addresses=["10.0.0.1"], host_keys=["ssh-ed25519 " + "A" * 68],
)
OFFERED = replace(RECORD, address="10.0.0.2", port=4000, login_host="login2", login_socket="/run/x/s")
LEADING = ["node", "socket", "address", "login_host", "base_url", "login_socket", "tls_sha256"]
CLUSTER = Cluster(name="lab", account="alice@lab", user="alice", login_hosts=("login",), scheduler="slurm",
                  gateways=(Gateway("gate", "bob"),))  # fmt: skip
LANDING = wishes.Landing("login1", 22, ("ssh-ed25519 " + "A" * 68,), ("10.0.0.1",), "/tmp/hpcl-x")
WISH = wishes.Wish("0123456789abcdef", 3, "reverse", LANDING)
REQUEST = request.build(
    session="s", account="a@c", cluster="c", scheduler="slurm", directory="~/x",
    resources={"time": "2:00:00", "gpus": "a100:2", "exclusive": True, "extra": ["--licenses=a:1"]},
)
DEEP = b"[" * 100_000


def _json(value: object) -> str:
    return json.dumps(value, indent=2)


def _changed(whole: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """JSON with some fields of another kind, missing or more, or damaged as text."""
    other = st.dictionaries(st.sampled_from(sorted(whole)) | seeds.texts, seeds.values, max_size=3)
    typed = other.map(lambda change: _json({**whole, **change}).encode())
    torn = seeds.cut_or_changed(_json(whole), '{}[]",:\\ 0e').map(lambda text: text.encode("utf-8", "replace"))
    return typed | torn | st.binary(max_size=40)


@settings(max_examples=400)
@given(_changed(asdict(RECORD)))
@example(DEEP)
def test_a_record_is_whole_or_none(content: bytes) -> None:
    try:
        found = rec.parse(content, path="record.json")
    except RecordError as error:
        assert "update hpc.jupyter on this side" in str(error)
        return
    if found is not None:
        for item in fields(rec.Record):
            assert type(getattr(found, item.name)) is type(getattr(RECORD, item.name))
        assert rec.parse(json.dumps(asdict(found)).encode(), path="again") == found or "NaN" in str(content)


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(LEADING), seeds.texts, max_size=3),
       st.sampled_from(["node", "step", "lan", "reverse"]))
def test_a_record_leads_to_no_command_that_does_something_else(changes: dict[str, Any], name: str) -> None:
    offer = {"lan": "lan", "reverse": "reverse"}.get(name, "socket")
    record = replace(replace(OFFERED, offer=offer), **changes)
    with contextlib.suppress(NoForward):
        route = plan(record, CLUSTER, config="/state/ssh_config", port=20123, name=name)
        words = [word for word in (*route.argv, *route.rides) if not word.startswith("LocalCommand=")]
        assert all(word.isprintable() and " " not in word for word in words)
        assert not route.argv or (route.argv[-2] == "--" and not route.argv[-1].startswith("-"))
        assert route.url.startswith(("http://127.0.0.1:20123/", "https://127.0.0.1:20123/"))
        assert not any("localhost" in word for word in words)


@settings(max_examples=300)
@given(_changed(json.loads(REQUEST.to_json())))
@example(DEEP)
def test_a_request_is_whole_or_refused(content: bytes) -> None:
    try:
        found = request.from_json(content)
    except BadInput as error:
        assert error.field
        return
    assert request.from_json(found.to_json()) == found


@given(st.builds(
    dict, directory=seeds.texts, idle_seconds=st.integers(0, 10**8), nice=st.integers(0, 19),
    offer=st.sampled_from(request.OFFERS), interface=st.sampled_from(["lab", "notebook"]),
))
def test_a_request_survives_its_file(wanted: dict[str, Any]) -> None:
    with contextlib.suppress(BadInput):
        made = request.build(session="s", account="a@c", cluster="c", scheduler="none", **wanted)
        assert request.from_json(made.to_json()) == made


@settings(max_examples=300)
@given(_changed(asdict(WISH)) | _changed(asdict(LANDING)).map(lambda text: _json(asdict(WISH)).encode() + text))
@example(DEEP)
def test_a_wish_is_whole_or_none(content: bytes) -> None:
    found = wishes.parse(content)
    if found is not None:
        assert found.want in ("", "restart", "socket", "lan", "reverse")
        assert isinstance(found.generation, int)
        assert wishes.parse(_json(asdict(found)).encode()) == found


@given(seeds.texts, seeds.values, st.text(max_size=60))
@example("x", {}, "0123456789abcdef " + "[" * 100_000)
def test_an_answer_is_found_among_what_a_login_prints(before: str, told: Any, after: str) -> None:
    nonce = "0123456789abcdef"
    answer = {"record": told}
    text = f"{before}\n{nonce} {json.dumps(answer)}\n{after}"
    assert json.dumps(framed(text, nonce)) == json.dumps(answer)
    assert framed(f"{before}\n{after}", nonce) is None


SIGNS = "\r\n :[]()%{}\\@-0"
SAID = """\
alice@login: Permission denied (publickey,password).
ssh: Could not resolve hostname gate: Name not known
ssh: connect to host gate port 22: Connection refused
Host key for [gate]:22 has changed and you have requested strict checking.
No ED25519 host key is known for login and you have requested strict checking.
channel 0: open failed: connect failed: Connection refused
kex_exchange_identification: read: reset by peer
hpc.jupyter: gate presents ssh-ed25519 SHA256:abc, which is not pinned
Received disconnect from UNKNOWN port 65535:2: Too many authentication failures
Unable to negotiate with 192.0.2.4 port 22: no matching cipher found. Their offer: x""".splitlines()


@settings(max_examples=300)
@given(st.sampled_from(SAID).flatmap(lambda line: seeds.cut_or_changed(f"notice\r\n{line}\r\n", SIGNS)) | seeds.texts)
def test_whatever_ssh_says_is_explained(text: str) -> None:
    told = explain(text, CLUSTER)
    assert told.startswith("lab: ")
    assert len(told) > 10


@given(st.text("/nfs4 tmp\\040\n\x000rw", max_size=80), st.sampled_from(["/", "/tmp", "/a b/c"]))
def test_a_table_of_mounts_may_hold_anything(mounts: str, path: str) -> None:
    assert isinstance(node.filesystem(path, mounts=mounts), str)


@pytest.mark.parametrize("content", [DEEP, b"\xff\xfe", b"\0" * 100, b"", b"1e999", b"NaN", b'{"schema": 1e3}'])
def test_known_horrors_are_none(content: bytes) -> None:
    assert rec.parse(content, path="x") is None
    assert wishes.parse(content) is None
    with pytest.raises(BadInput, match=r"^request.json: is not a request"):
        request.from_json(content)
