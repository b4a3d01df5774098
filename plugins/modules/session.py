#!/usr/bin/python
# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: session
short_description: Find or submit a Jupyter session, wait for it, or stop it
version_added: 0.1.0
description:
  - Makes sure that one Jupyter session of this name runs on the account, or that none does.
  - A session that lives is found by its record and by the scheduler before anything is submitted, so that there is
    at most one job for an account and session name, whatever was cut off before.
  - Waits on the account itself and returns early when the session's state changes; call it again with
    O(state=awaited) until RV(session.state) is V(ready).
  - Never returns a secret. The session's token stays in a file on the account.
author:
  - The hpc.jupyter contributors (@hpc-jupyter)
extends_documentation_fragment:
  - hpc.jupyter.account
  - hpc.jupyter.site
  - hpc.jupyter.resources
attributes:
  check_mode:
    description: Says what would be done, asks the scheduler, and changes nothing.
    support: full
  diff_mode:
    description: Shows the session's state before and after.
    support: full
options:
  name:
    description: The session's name.
    type: str
    default: default
  every:
    description:
      - With O(state=absent), end every session of the account in place of O(name) alone, those too of which there is a
        job and no record.
    type: bool
    default: false
  state:
    description:
      - V(present) finds the session or submits it, V(absent) ends it.
      - V(awaited) only watches a session that is there; it fails if that has ended.
      - V(restarted) starts Jupyter anew in the job of a session that runs. Its URL stays, its kernels end.
    type: str
    choices: [present, awaited, restarted, absent]
    default: present
  directory:
    description: Where notebooks open, absolute or starting with C(~/). Empty is the home directory.
    type: str
    default: ''
  offer:
    description:
      - Where Jupyter listens on its node. V(socket) is a Unix socket that only its owner can reach,
        V(loopback) a port of 127.0.0.1, for a session on the very machine that the browser runs on.
      - V(lan) is a port of the node's own address, which login hosts reach. V(reverse) is the Unix socket, and another
        one on the login host that the job makes and that leads to it.
      - Where V(lan) or V(reverse) cannot be, RV(session.offer) is V(socket) and RV(session.reason) says why.
    type: str
    choices: [socket, loopback, lan, reverse]
    default: socket
  tls:
    description:
      - When the session speaks https. With V(auto), where a TCP port of the cluster is in the way; that needs the
        certificate of M(hpc.jupyter.certificate). If not given, as the account was set up.
    type: str
    choices: [auto, always, never]
  idle_seconds:
    description: The session ends after this many seconds without use; V(0) means never.
    type: int
    default: 0
  warn_minutes:
    description: How many minutes before the end of the job's time the log and the notebook page warn of it.
    type: list
    elements: int
    default: [30, 10, 5, 1]
  interface:
    description: What opens, JupyterLab, Jupyter Notebook or the classic notebook; the environment must have it.
    type: str
    choices: [lab, notebook, nbclassic]
    default: lab
  jupyterhub_url:
    description:
      - The site's JupyterHub, where a new session is better had from there. None is submitted then, and the failure
        names the address; a session that there is can still be reached.
    type: str
    default: ''
  nice:
    description:
      - How far the session stands back for others on its node, from V(0), not at all, to V(19), as C(nice) counts.
    type: int
    default: 0
  job:
    description:
      - The number of a Slurm job of the account that runs already, as after C(salloc), for the session to run in,
        instead of a job of its own. It has its O(resources) already. Ending the session leaves it.
    type: str
    default: ''
  race:
    description:
      - With O(state=present), the id of the race that a new session is submitted for, 16 hexadecimal digits; the
        session carries it until somebody comes for it.
      - With O(state=absent), end the session only if it was submitted for this race and nobody has come for it.
    type: str
    default: ''
  unclaimed_seconds:
    description: How long a session that is submitted for a O(race) waits for somebody to come; V(0) is for ever.
    type: int
    default: 900
  startup_seconds:
    description: How long Jupyter may take to answer once its job runs.
    type: int
    default: 180
  wait_seconds:
    description:
      - How long to watch at the most before answering. With O(state=absent), how long the job may take to end.
    type: int
    default: 60
seealso:
  - module: hpc.jupyter.session_info
"""

EXAMPLES = r"""
- name: Have a session of two hours with a GPU
  hpc.jupyter.session:
    account: alice@cori
    cluster: cori
    scheduler: slurm
    resources:
      time: "2:00:00"
      gpus: "1"

- name: Wait until it answers
  hpc.jupyter.session:
    account: alice@cori
    cluster: cori
    scheduler: slurm
    state: awaited
  register: awaited
  until: awaited.session.state | default('ended') in ['ready', 'ended']
  retries: 60
  delay: 0

- name: Start Jupyter anew in the same job
  hpc.jupyter.session:
    account: alice@cori
    cluster: cori
    scheduler: slurm
    state: restarted

- name: Stop it
  hpc.jupyter.session:
    account: alice@cori
    cluster: cori
    scheduler: slurm
    state: absent

- name: Stop all that the account has
  hpc.jupyter.session:
    account: alice@cori
    cluster: cori
    scheduler: slurm
    state: absent
    every: true
"""

RETURN = r"""
connected:
  description:
    - What the session is reached with, once it is ready. The host keys of its node, of its login host and of the sshd
      of its job, which its record holds, are trusted from then on.
    - Empty before, with C(async), and on hosts without cluster facts (C(hpc_login_hosts)).
  returned: success
  type: dict
  contains:
    cluster:
      description: The cluster's facts as they were understood, with defaults filled in.
      type: dict
    ssh_config:
      description: The configuration for C(ssh -F), empty for a local account.
      type: str
session:
  description:
    - The session's record, with the state as the scheduler confirms it.
      Empty if there never was such a session. It holds no secret.
  returned: always
  type: dict
  contains:
    state:
      description: One of V(submitted), V(queued), V(starting), V(ready), V(ended), V(unknown).
      type: str
      sample: ready
    reason:
      description: Why it is in this state, in the scheduler's or the supervisor's words.
      type: str
    how:
      description: How an ended session ended.
      type: str
    job_id:
      description: The scheduler's name for the job, or C(JOB.STEP) with O(job).
      type: str
      sample: "4711"
    node:
      description: The compute node.
      type: str
      sample: c1
    socket:
      description: The Unix socket on the node, already told while Jupyter starts; empty if it listens on a port.
      type: str
    offer:
      description: How the running session is offered, as in O(offer).
      type: str
    address:
      description: The node's address that it listens on, if it is offered as V(lan).
      type: str
    port:
      description: The port on the node, 0 if it listens on a socket.
      type: int
    login_socket:
      description: The Unix socket on the login host that leads to it, if it is offered as V(reverse).
      type: str
    login_port:
      description: The port of the login host's 127.0.0.1 that takes its place where sshd forwards no sockets.
      type: int
    tls_sha256:
      description: The SHA-256 of its certificate in hexadecimal digits, empty if it speaks http.
      type: str
    base_url:
      description: The path that all of the session's URLs start with.
      type: str
    race:
      description: The race that it was submitted for, empty once somebody has come for it.
      type: str
    interface:
      description: What opens there; the URL's last part is C(lab) for V(lab), C(tree) for the others.
      type: str
    starts_at:
      description: When the scheduler expects to start a queued job, ISO 8601 in UTC, empty if it does not say.
      type: str
    may_go_on:
      description: Whether a session that has ended may yet be put back into the queue, since its job still ends.
      type: bool
    ends_at:
      description: When the job's time is over, ISO 8601 in UTC, empty if not known.
      type: str
    idle_since:
      description: Since when nobody has used a session that ends then, ISO 8601 in UTC, empty while somebody does.
      type: str
    idle_ends_at:
      description: When that ends it, ISO 8601 in UTC.
      type: str
stopped:
  description: The names of the sessions that were ended, or would be in check mode.
  returned: with O(every=true)
  type: list
  elements: str
log_tail:
  description: The last lines of the session's log, when it failed.
  returned: on failure
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.jupyter.plugins.module_utils import (
    account,
    answers,
    arguments,
    asking,
    request,
    session,
)
from ansible_collections.hpc.jupyter.plugins.module_utils import race as races
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout
from ansible_collections.hpc.jupyter.plugins.module_utils.plan import ADOPT, SUBMIT, View
from ansible_collections.hpc.jupyter.plugins.module_utils.record import READY, STARTING
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import by_name
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import Scheduler

# Python compiles everything anew in each run: what most runs do not need is imported where it is.

_OPTIONS = {
    "name": {"type": "str", "default": "default"},
    "every": {"type": "bool", "default": False},
    "state": {"type": "str", "choices": ["present", "awaited", "restarted", "absent"], "default": "present"},
    "resources": {"type": "dict", "default": {}, "options": arguments.RESOURCE_OPTIONS},
    "directory": {"type": "str", "default": ""},
    "offer": {"type": "str", "choices": ["socket", "loopback", "lan", "reverse"], "default": "socket"},
    "tls": {"type": "str", "choices": ["auto", "always", "never"]},
    "idle_seconds": {"type": "int", "default": 0},
    "warn_minutes": {"type": "list", "elements": "int", "default": [30, 10, 5, 1]},
    "interface": {"type": "str", "choices": ["lab", "notebook", "nbclassic"], "default": "lab"},
    "jupyterhub_url": {"type": "str", "default": ""},
    "nice": {"type": "int", "default": 0},
    "job": {"type": "str", "default": ""},
    "race": {"type": "str", "default": ""},
    "unclaimed_seconds": {"type": "int", "default": 900},
    "startup_seconds": {"type": "int", "default": 180},
    "wait_seconds": {"type": "int", "default": 60},
}


def main() -> None:
    """Run the module."""
    ansible = AnsibleModule(argument_spec=dict(arguments.ACCOUNT_OPTIONS, **_OPTIONS), supports_check_mode=True)
    try:
        layout = answers.layout_of(ansible.params)
        scheduler = by_name(
            ansible.params["scheduler"], root=layout.root, detach=ansible.params["detach"], site=ansible.params["site"],
        )
        act = {"present": _have, "awaited": _await, "restarted": _restart, "absent": _end}[ansible.params["state"]]
        ansible.exit_json(**act(ansible, layout, scheduler))
    except (HpcJupyterError, OSError) as error:
        ansible.fail_json(**answers.failure(error))


def _have(ansible: AnsibleModule, layout: Layout, scheduler: Scheduler) -> dict[str, Any]:
    _prefer_hub(ansible.params, layout, scheduler)
    wanted = _request(ansible.params, tls=ansible.params["tls"] or account.fact(layout, "tls", default="auto"))
    if ansible.check_mode:
        decided = session.decide(wanted, layout, scheduler)
        return _result(decided.view, changed=decided.action in (SUBMIT, ADOPT), state_after="ready")
    done = session.find_or_submit(wanted, layout, scheduler)
    seen = session.wait(
        layout, wanted.session, scheduler, seconds=ansible.params["wait_seconds"],
        seen=done.after if done.changed else None,
    )
    answers.expect_alive(seen, layout=layout)
    return _result(done.before, changed=done.changed, after=seen)


def _prefer_hub(params: dict[str, Any], layout: Layout, scheduler: Scheduler) -> None:
    """Refuse a new session where the site has a JupyterHub, whether or not the account has been set up."""
    url = params["jupyterhub_url"]
    if url and not session.look(layout, request.session_name(params["name"]), scheduler).is_live:
        raise answers.HubPreferred(
            f"{params['cluster']} has a JupyterHub, which is the better way: {url}. "
            "To launch a session here anyway, set jupyter_session_anyway: true"
        )


def _await(ansible: AnsibleModule, layout: Layout, scheduler: Scheduler) -> dict[str, Any]:
    name = request.session_name(ansible.params["name"])
    seconds = 0 if ansible.check_mode else ansible.params["wait_seconds"]
    seen = session.wait(layout, name, scheduler, seconds=seconds)
    return _result(answers.expect_alive(seen, layout=layout), changed=False)


def _restart(ansible: AnsibleModule, layout: Layout, scheduler: Scheduler) -> dict[str, Any]:
    from ansible_collections.hpc.jupyter.plugins.module_utils import words

    name = request.session_name(ansible.params["name"])
    seen = session.look(layout, name, scheduler)
    if seen.state not in (STARTING, READY):
        where = words.describe(seen.to_dict()) if seen.record else "there is no such session"
        raise asking.NotRunning(f"session {name} of {ansible.params['account']} has no Jupyter to start anew: {where}")
    if not ansible.check_mode:
        asking.restart(layout.session(name))
        seen = session.look(layout, name, scheduler)
    return dict(_result(seen, changed=True, after=seen), diff={"before": "", "after": "a new Jupyter\n"})


def _end(ansible: AnsibleModule, layout: Layout, scheduler: Scheduler) -> dict[str, Any]:
    from ansible_collections.hpc.jupyter.plugins.module_utils import stopping

    if ansible.params["every"]:
        return _end_all(ansible, layout, scheduler)
    name = request.session_name(ansible.params["name"])
    race = races.check(ansible.params["race"])
    if ansible.check_mode:
        seen, jobs = stopping.decide_stop(layout, name, scheduler)
        meant = bool(jobs) and (not race or stopping.is_of(seen.record, race))
        return _result(seen, changed=meant, state_after="ended" if seen.state else "")
    done = stopping.stop(layout, name, scheduler, seconds=ansible.params["wait_seconds"], race=race)
    return _result(done.before, changed=done.changed, after=done.after)


_EVERY = {"before": "live", "after": "ended"}


def _end_all(ansible: AnsibleModule, layout: Layout, scheduler: Scheduler) -> dict[str, Any]:
    from ansible_collections.hpc.jupyter.plugins.module_utils import leftovers, stopping

    if ansible.check_mode:
        names = leftovers.session_names(layout, scheduler)
        stopped = [name for name in names if stopping.decide_stop(layout, name, scheduler)[1]]
    else:
        stopped = leftovers.stop_all(layout, scheduler, seconds=ansible.params["wait_seconds"])
    diff = {when: "".join(f"session {name}: {state}\n" for name in stopped) for when, state in _EVERY.items()}
    return {"changed": bool(stopped), "session": {}, "stopped": stopped, "diff": diff}


def _request(params: dict[str, Any], *, tls: str) -> request.Request:
    return request.build(
        session=params["name"],
        account=params["account"],
        cluster=params["cluster"],
        scheduler=params["scheduler"],
        resources=params["resources"],
        directory=params["directory"],
        offer=params["offer"],
        tls=tls,
        idle_seconds=params["idle_seconds"],
        warn_minutes=params["warn_minutes"],
        startup_seconds=params["startup_seconds"],
        interface=params["interface"],
        nice=params["nice"],
        job=params["job"],
        race=params["race"],
        unclaimed_seconds=params["unclaimed_seconds"],
    )


def _result(before: View, *, changed: bool, after: View | None = None, state_after: str = "") -> dict[str, Any]:
    """The module's answer; without ``after`` (check mode) the session as it is, and the state it would have."""
    now = before if after is None else after
    end = (state_after if after is None else now.state) if changed else now.state
    diff = {"before": _line(before.state if changed else now.state), "after": _line(end)}
    return {"changed": changed, "session": now.to_dict(), "diff": diff}


def _line(state: str) -> str:
    return f"state: {state or 'absent'}\n"


if __name__ == "__main__":
    main()
