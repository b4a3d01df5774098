"""Whatever an accounts file holds, it gives accounts that are safe to use, or says in which line it is wrong."""

from __future__ import annotations

import re
from typing import Any

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.plugin_utils import accounts
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.machine import ROOT
from tests.properties import seeds

PATH = "/lab/lab.accounts.yml"
EXAMPLE = (ROOT / "docs/lab.accounts.yml").read_text()
FACTS = {"hpc_login_hosts": ["login"], "hpc_scheduler": "slurm"}
NAMES = st.sampled_from(["cori", "hydra", "alice", "all", "a-b", "a_b", "no", "1"]) | seeds.texts
USER = st.dictionaries(st.sampled_from(["user", "jupyter_session_time"]), seeds.values, max_size=2)
USERS = st.none() | USER | seeds.texts
PEOPLE = st.fixed_dictionaries(
    {"accounts": st.dictionaries(NAMES, USERS, max_size=3) | st.lists(NAMES, max_size=3) | seeds.values},
    optional={"keys": seeds.values, "jupyter_session_time": seeds.values, "other": seeds.values},
)


def _check(text: str) -> None:
    try:
        lab = accounts.read(text, path=PATH, loader=DataLoader())
    except BadInput as error:
        assert str(error).startswith(f"{PATH}:")
        return
    assert len(set(lab.groups.values())) == len(lab.groups)
    assert all(re.fullmatch(r"[A-Za-z_]\w*", group, re.ASCII) for group in lab.groups.values())
    users = [(each.cluster, str(each.variables["hpc_user"])) for each in lab.accounts]
    assert len(set(users)) == len(users)
    for each in lab.accounts:
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._+-]*@[A-Za-z0-9][A-Za-z0-9._-]*", each.name)
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._@+-]*", str(each.variables["hpc_user"]))
        assert "{{" not in repr({**lab.clusters[each.cluster], **each.variables})


@settings(max_examples=60)
@given(
    st.dictionaries(NAMES, st.just(FACTS) | seeds.values | st.dictionaries(seeds.texts, seeds.values), max_size=3),
    st.dictionaries(NAMES, PEOPLE | seeds.values, max_size=3),
)
@example({"cori": FACTS}, {"alice": {"accounts": {"cori": "{{ 7 * 7 }}"}}})
def test_a_file_of_any_shape_is_right_or_refused_with_its_place(clusters: Any, people: Any) -> None:
    data = {"plugin": accounts.PLUGIN, "clusters": {"hydra": FACTS, **clusters}, "people": people}
    _check(yaml.safe_dump(data, sort_keys=False))


@settings(max_examples=40)
@given(seeds.cut_or_changed(EXAMPLE, "a:{}[]-&*!'\"\n \t#|"))
@example(EXAMPLE)
def test_a_damaged_file_is_right_or_refused_with_its_line(text: str) -> None:
    _check(text)
