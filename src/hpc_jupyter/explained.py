"""What ``--explain`` says: the chain of hosts, every route, why this one, and commands that do the same by hand."""

from __future__ import annotations

import os
import shlex
from dataclasses import asdict

from ansible_collections.hpc.jupyter.plugins.plugin_utils.explain import hops
from ansible_collections.hpc.jupyter.plugins.plugin_utils.route import host_by_hand, is_on_login_host

from hpc_jupyter import route as routes
from hpc_jupyter.access import Access
from hpc_jupyter.connection import Link, Tried
from hpc_jupyter.forward import is_free


def lines(link: Link, access: Access) -> list[str]:
    """For a person, with the taken route's commands; these use another local port than the connection that stands."""
    if access.cluster.local:
        return [f"Route local ({link.why}): Jupyter listens on 127.0.0.1:{link.route.port}; no ssh is needed"]
    return [f"The way: {chain(link, access)}", *_routes(link), *_by_hand(link, access)]


def chain(link: Link, access: Access) -> str:
    """The hosts in order, from this machine to where Jupyter runs."""
    record = link.record
    names = ["this machine", *(str(hop) for hop in hops(access.cluster))]
    on_login_host = is_on_login_host(asdict(record), link.route.name)
    if os.path.exists(access.files.entrance) and record.login_host:
        names.append(f"the session's login host {record.login_host}")
    elif on_login_host and record.login_host and record.login_host != access.cluster.login_hosts[0]:
        names[-1] += f" ({record.login_host})"
    if not on_login_host or record.node != record.login_host:
        names.append(f"node {record.node}")
    return " → ".join(names)


def _routes(link: Link) -> list[str]:
    tried = link.tried or (Tried(link.route.name),)
    return [f"Route {item.name}: {item.problem or f'works; taken because {link.why}'}" for item in tried]


def _by_hand(link: Link, access: Access) -> list[str]:
    ports = tuple((_other(here), there) for here, there in link.route.ports)
    hand = routes.plan(
        link.record, access.cluster, config=access.files.config, port=_other(link.route.port), name=link.route.name,
        host=host_by_hand(asdict(link.record), access.cluster.login_hosts), ports=ports,
    )  # fmt: skip
    log_in = shlex.join(["ssh", "-F", access.files.config, access.cluster.name])
    certificate = [f"Its certificate's SHA-256: {hand.sha256}"] if hand.sha256 else []
    commands = [f"Log in by hand:  {log_in}", f"Forward by hand: {hand.command}", f"Then open:       {hand.page}"]
    show = [f"{access.command}", "url", "--session", link.record.session, "--port", str(hand.port)]
    token = f"Its token:       {log_in} {' '.join(show)}"
    return [*commands, token, *certificate]


def _other(port: int) -> int:
    """A free port near ``port``, which is taken by the connection itself."""
    return next((other for other in range(port + 1, min(port + 1000, 65536)) if is_free(other)), port)
