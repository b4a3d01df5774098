# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab's accounts file, checked: its text in, clusters and accounts out, or what is wrong in which line.

Everything in the file is data. Nothing of it is ever rendered as a template.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml
from ansible.inventory.group import to_safe_group_name
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.plugin_utils import host_keys
from ansible_collections.hpc.jupyter.plugins.plugin_utils import variables as roles
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import FACTS, Cluster
from ansible_collections.hpc.jupyter.plugins.plugin_utils.keys import public_part
from ansible_collections.hpc.jupyter.plugins.plugin_utils.origin import origins, place_of, refuse_odd_numbers, where

PLUGIN = "hpc.jupyter.accounts"
KEYS_VARIABLE = "jupyter_access_public_keys"
"""What a person's ``keys`` are to the role ``jupyter_access``."""

_SECTIONS = ("plugin", "clusters", "people")
_CONNECTION = ("ansible_connection", "ansible_python_interpreter")
_OF_CLUSTER = (*(name for name in FACTS if name != "hpc_user"), *_CONNECTION)
_NAMES = {
    "clusters": re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"),
    "people": re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,63}"),
}
_PROGRAM = re.compile(r"auto|auto_silent|/[A-Za-z0-9._/+-]+")
_RESERVED = ("all", "ungrouped")
_VAULT = "$ANSIBLE_VAULT;"
_MOST_DEEP = 60
"""Nobody's lists are that deep, and Python's stack has an end."""


@dataclass(frozen=True)
class Member:
    """One person on one cluster; ``variables`` are the person's and this account's own."""

    person: str
    cluster: str
    variables: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The account's name in the inventory."""
        return f"{self.person}@{self.cluster}"


@dataclass(frozen=True)
class Lab:
    """What an accounts file holds: facts by cluster, and every account; ``groups`` are their names for Ansible."""

    clusters: Mapping[str, Mapping[str, Any]]
    accounts: tuple[Member, ...]
    groups: Mapping[str, str] = field(default_factory=dict)


def load(path: str, *, loader: Any) -> Lab:
    """The lab that the file at ``path`` describes, with the host keys beside it; ``loader`` is Ansible's.

    Raises ``BadInput``, which begins with ``path:LINE``.
    """
    text = loader.get_text_file_contents(path)
    return read(text, path=path, loader=loader, pins=host_keys.read(host_keys.beside(path)))


def read(text: str, *, path: str, loader: Any, pins: Mapping[str, Mapping[str, Any]] | None = None) -> Lab:
    """The lab that ``text`` describes; ``pins`` are for hosts of which it says nothing, by cluster.

    Ansible's ``loader`` tags names and values with their lines.
    """
    if not text.startswith(_VAULT):
        _refuse_unfit(text, path)
    return _Reader(path, pins or {}).lab(_loaded(text, path, loader))


def _loaded(text: str, path: str, loader: Any) -> Any:
    try:
        return loader.load(text, file_name=path)
    except Exception as error:  # a vault, or a value that YAML cannot make  # noqa: BLE001
        problem = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BadInput("the file", f"cannot be read: {problem}").at(place_of(error) or path) from None


@dataclass(frozen=True)
class _Reader:
    path: str
    pins: Mapping[str, Mapping[str, Any]]

    def lab(self, data: Any) -> Lab:
        self._keys(data, _SECTIONS, "the file", needed=("clusters", "people"))
        clusters = {str(name): self._cluster(name, facts) for name, facts in self._section(data, "clusters")}
        people = [(name, self._person(name, entry)) for name, entry in self._section(data, "people")]
        groups = self._groups([*data["clusters"], *(name for name, _entry in people)])
        accounts = tuple(each for name, entry in people for each in self._accounts(name, entry, clusters))
        self._refuse_shared(accounts)
        return Lab(clusters, accounts, groups)

    def _section(self, data: Mapping[Any, Any], name: str) -> list[tuple[Any, Any]]:
        section = data[name]
        if not isinstance(section, Mapping) or not section:
            key = next(key for key in data if key == name)
            self._fail(name, "is not a mapping" if section else "holds nothing", at=(section, key),
                       hint=f"Write each of the {name} as NAME: {{…}}")
        return list(section.items())

    def _cluster(self, name: Any, facts: Any) -> dict[str, Any]:
        self._check_name("clusters", name, facts)
        if not isinstance(facts, Mapping):
            self._fail(name, "has no facts", at=(facts, name), hint="Write at least hpc_login_hosts and hpc_scheduler")
        self._allow(name, facts, _OF_CLUSTER)
        merged = {**facts, **self._pinned(name, facts)}
        self._check_connection(facts)
        self._check_values(facts)
        with_user = {**merged, "hpc_user": "person"}
        Cluster.from_facts(with_user, account=f"person@{name}", origins={**self._everywhere(name, facts)})
        return {str(key): value for key, value in merged.items()}

    def _everywhere(self, name: Any, facts: Mapping[Any, Any]) -> dict[str, str]:
        """Where each fact is; one that is missing, where its cluster is."""
        return {**{fact: where(name) or self.path for fact in FACTS}, **origins(facts)}

    def _pinned(self, name: Any, facts: Mapping[Any, Any]) -> dict[str, Any]:
        """Pins that somebody has confirmed; what the file itself says of a host counts more."""
        own, added = facts.get("hpc_host_keys") or {}, self.pins.get(str(name)) or {}
        return {"hpc_host_keys": {**added, **own}} if added and isinstance(own, Mapping) else {}

    def _person(self, name: Any, entry: Any) -> Mapping[Any, Any]:
        self._check_name("people", name, entry)
        if not isinstance(entry, Mapping) or not entry.get("accounts"):
            self._fail(name, "has no account", at=(entry, name), hint="Write accounts: {CLUSTER: USER}")
        self._allow(name, entry, ("accounts", "keys"))
        self._check_values({key: value for key, value in entry.items() if key not in ("accounts", "keys")})
        return entry

    def _accounts(self, person: Any, entry: Mapping[Any, Any], clusters: Mapping[str, Any]) -> Iterator[Member]:
        own = {str(name): value for name, value in entry.items() if str(name).startswith(roles.PREFIX)}
        keys = self._public_keys(person, entry.get("keys"))
        for cluster, told in self._listed(person, entry["accounts"]):
            if not isinstance(cluster, str) or cluster not in clusters:
                self._fail(person, f"{cluster!r} is not a cluster of this file", at=(cluster, person),
                           hint=_did_you_mean(cluster, clusters))
            variables = {**own, **keys, **self._account(person, told)}
            member = Member(str(person), str(cluster), variables)
            self._check_account(member, person, clusters[cluster])
            yield member

    def _listed(self, person: Any, told: Any) -> list[tuple[Any, Any]]:
        """Clusters, each with what is said of the account there."""
        if isinstance(told, Mapping):
            return list(told.items())
        if not isinstance(told, (list, tuple)):
            self._fail(person, f"accounts: {told!r} is neither a list nor a mapping", at=(told, person),
                       hint="Write accounts: {CLUSTER: USER}, or [CLUSTER] where the user has the person's name")
        for number, cluster in enumerate(told):
            if cluster in told[:number]:
                self._fail(person, f"accounts: {cluster!r} is there twice", at=(cluster, person))
        return [(cluster, None) for cluster in told]

    def _account(self, person: Any, told: Any) -> dict[str, Any]:
        """The user's name and variables of one account; without a name it is the person's."""
        if not isinstance(told, Mapping):
            return {"hpc_user": person if told is None else self._user(person, told)}
        self._allow(person, told, ("user",))
        self._check_values(told)
        own = {str(name): value for name, value in told.items() if name != "user"}
        user = told.get("user")
        return {**own, "hpc_user": person if user is None else self._user(person, user)}

    def _user(self, person: Any, user: Any) -> str:
        if not isinstance(user, str):
            self._fail(person, f"{user!r} is not a user name", at=(user, person), hint="Write it in quotes")
        return user

    def _check_account(self, member: Member, person: Any, facts: Mapping[str, Any]) -> None:
        """Values that are right each may be wrong together, such as a person's time beyond a cluster's limit."""
        merged = {**facts, **member.variables}
        known = {**self._everywhere(person, {}), **origins(merged)}
        Cluster.from_facts(merged, account=member.name, origins=known)
        refused = roles.refusal(merged, lambda value: value)
        if refused is not None:
            raise refused if str(refused).startswith(self.path) else refused.at(where(person) or self.path)

    def _public_keys(self, person: Any, keys: Any) -> dict[str, Any]:
        """Without their comments, which are whatever a person's computer has put there."""
        if keys is None:
            return {}
        if not isinstance(keys, (list, tuple)):
            self._fail(person, "keys: is not a list", at=(keys, person), hint="Write keys: [ssh-ed25519 AAAA…]")
        return {KEYS_VARIABLE: [self._public_key(person, key) for key in keys]}

    def _public_key(self, person: Any, key: Any) -> str:
        try:
            return public_part(key)
        except BadInput as error:
            raise error.at(where(key, person) or self.path) from None

    def _groups(self, names: Iterable[Any]) -> dict[str, str]:
        """A group for every cluster and person; ``--limit`` could not tell two of one name apart."""
        groups: dict[str, str] = {}
        owners: dict[str, Any] = {}
        for name in names:
            group = to_safe_group_name(str(name), force=True, silent=True)
            other = owners.get(group)
            if other is not None:
                called = f"is called like {other}" if str(other) != str(name) else "is both a cluster and a person"
                self._fail(name, f"{called}: both would be the group {group}", at=(name,), hint="Rename one of them")
            owners[group], groups[str(name)] = name, group
        return groups

    def _refuse_shared(self, accounts: Iterable[Member]) -> None:
        owners: dict[tuple[str, str], Member] = {}
        for each in accounts:
            user = each.variables["hpc_user"]
            other = owners.setdefault((each.cluster, str(user)), each)
            if other is not each:
                line = where(other.variables["hpc_user"]).rpartition(":")[2]
                problem = f"{user} on {each.cluster} is {other.person}'s account already (line {line})"
                self._fail(each.person, problem, at=(user,), hint="Each person has accounts of their own")

    def _check_name(self, section: str, name: Any, value: Any) -> None:
        if not isinstance(name, str):
            self._fail(section, f"{name!r} is not a name", at=(name, value), hint="Write it in quotes")
        if not _NAMES[section].fullmatch(name) or ".." in name:
            self._fail(section, f"{name!r} is not a name", at=(name,),
                       hint="Allowed are letters, digits and . _ - at most 64, beginning with a letter or a digit")
        if name in _RESERVED:
            self._fail(section, f"{name!r} is a group of Ansible's own", at=(name,), hint="Choose another name")

    def _allow(self, owner: Any, entry: Mapping[Any, Any], known: tuple[str, ...]) -> None:
        """Only names that somebody reads; role variables are allowed everywhere."""
        for key in entry:
            if key in known or (isinstance(key, str) and key in roles.specs()):
                continue
            if key == "hpc_user":
                self._fail(owner, "'hpc_user' belongs to an account: accounts: {CLUSTER: USER}", at=(key, owner))
            hint = _did_you_mean(key, [*known, *roles.specs()])
            self._fail(owner, f"{key!r} is not known here", at=(key, owner), hint=hint)

    def _check_connection(self, facts: Mapping[Any, Any]) -> None:
        connection, program = (facts.get(name) for name in _CONNECTION)
        if connection not in (None, "ssh", "local"):
            self._fail("ansible_connection", f"{connection!r} is not one of ssh, local", at=(connection,))
        if program is not None and not (isinstance(program, str) and _PROGRAM.fullmatch(program)):
            self._fail("ansible_python_interpreter", f"{program!r} is not a path", at=(program,))

    def _check_values(self, entry: Mapping[Any, Any]) -> None:
        for name, value in entry.items():
            for text in _texts(value):
                if "{{" in text or "{%" in text or "{#" in text:
                    self._fail(name, "is a template, and this file is data", at=(text, value, name),
                               hint="Write it into group_vars or host_vars beside this file")
        ours = {str(name): value for name, value in entry.items() if str(name).startswith(("hpc_", roles.PREFIX))}
        refuse_odd_numbers(ours)
        refused = roles.refusal(ours, lambda value: value)
        if refused is not None:
            raise refused if str(refused).startswith(self.path) else refused.at(where(*entry) or self.path)

    def _keys(self, data: Any, allowed: tuple[str, ...], what: str, *, needed: tuple[str, ...]) -> None:
        if not isinstance(data, Mapping):
            self._fail(what, "is not a mapping", at=(data,), hint=f"Its sections are {', '.join(allowed)}")
        for key in data:
            if key not in allowed:
                self._fail(key, f"is not a section of {what}", at=(key,), hint=_did_you_mean(key, allowed))
        for name in needed:
            if name not in data:
                self._fail(name, f"is missing in {what}")

    def _fail(self, what: Any, problem: str, *, at: tuple[Any, ...] = (), hint: str = "") -> NoReturn:
        raise BadInput(str(what), problem, hint=hint).at(where(*at) or self.path)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def _did_you_mean(name: Any, known: Iterable[str]) -> str:
    known = list(known)
    near = difflib.get_close_matches(str(name), known, n=1)
    shown = [each for each in known if not each.startswith(roles.PREFIX)]
    return f"Did you mean {near[0]}?" if near else f"Known are: {', '.join(shown)}"


def _refuse_unfit(text: str, path: str) -> None:
    """YAML takes the last of two equal keys without a word; so does a text that is no YAML, and one too deep."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise BadInput("the file", f"is not YAML: {error.problem or error.context}").at(_at(path, mark)) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInput("the file", f"is not YAML: {str(error).splitlines()[0]}").at(path) from None
    waiting, seen = [(root, 0)], set[int]()
    while waiting:
        node, depth = waiting.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if depth > _MOST_DEEP:
            raise BadInput("the file", "is nested too deeply").at(_at(path, node.start_mark))
        waiting += [(child, depth + 1) for child in _children(node, path)]


def _children(node: yaml.Node, path: str) -> list[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    if not isinstance(node, yaml.MappingNode):
        return []
    first: dict[str, yaml.Node] = {}
    for key, _value in node.value:
        if isinstance(key, yaml.ScalarNode) and first.setdefault(key.value, key) is not key:
            line = first[key.value].start_mark.line + 1
            raise BadInput(str(key.value), f"is there twice (first in line {line})").at(_at(path, key.start_mark))
    return [each for pair in node.value for each in pair]


def _at(path: str, mark: Any) -> str:
    return f"{path}:{mark.line + 1}" if mark else path
