"""Grid Engine as Debian packages it, told to be quick."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpclab import packages
from hpclab.process import until
from hpclab.topology import Daemon, File, Host

if TYPE_CHECKING:
    from hpclab.lab import Lab

_SETUP = "/usr/local/sbin/lab-qmaster"
_READY = "/run/lab-qmaster-ready"
_ROOT = "/home/.gridengine"  # as on real clusters on a file system that all hosts share
_SPOOL = "/var/spool/gridengine"
_MASTER_PORT = 6444
_ADMIN = "sgeadmin"
_PE = {
    "pe_name": "smp", "slots": "999", "user_lists": "NONE", "xuser_lists": "NONE", "start_proc_args": "NONE",
    "stop_proc_args": "NONE", "allocation_rule": "$pe_slots", "control_slaves": "FALSE", "job_is_first_task": "TRUE",
    "urgency_slots": "min", "accounting_summary": "FALSE", "qsort_args": "NONE",
}  # fmt: skip
_QUEUE = {
    "seq_no": "0", "load_thresholds": "NONE", "suspend_thresholds": "NONE", "nsuspend": "1",
    "suspend_interval": "00:05:00", "priority": "0", "min_cpu_interval": "00:05:00", "processors": "UNDEFINED",
    "qtype": "BATCH INTERACTIVE", "ckpt_list": "NONE", "pe_list": "smp", "rerun": "FALSE", "tmpdir": "/tmp",
    "shell": "/bin/sh", "prolog": "NONE", "epilog": "NONE", "shell_start_mode": "posix_compliant",
    "starter_method": "NONE", "suspend_method": "NONE", "resume_method": "NONE", "terminate_method": "NONE",
    "notify": "00:00:20", "owner_list": "NONE", "user_lists": "NONE", "xuser_lists": "NONE",
    "subordinate_list": "NONE", "complex_values": "NONE", "projects": "NONE", "xprojects": "NONE", "calendar": "NONE",
    "initial_state": "default", "s_rt": "INFINITY",
    **{f"{kind}_{what}": "INFINITY" for what in ("cpu", "fsize", "data", "stack", "core", "rss", "vmem")
       for kind in ("s", "h")},
}  # fmt: skip
"""`qconf` takes a queue with all of its attributes or none."""

_MASTER = """\
#!/bin/sh -e
. /etc/default/gridengine
export SGE_ROOT SGE_CELL
cp -a /var/lib/gridengine/. $SGE_ROOT
echo {master} > $SGE_ROOT/default/common/act_qmaster
setpriv --reuid={admin} --regid={admin} --clear-groups \\
    /usr/share/gridengine/scripts/init_cluster $SGE_ROOT $SGE_CELL {spool}/spooldb {admin}

configure() {{
    cd "$(mktemp -d)"
    until qconf -sh; do sleep 0.1; done
    qconf -as {submit}
    qconf -sc | awk '$1=="h_vmem"{{$6="YES";$7="1G"}} $1=="mem_free"{{$6="YES";$7="0"}} {{print}}' > complexes
    echo 'gpu gpu INT <= YES YES 0 0' >> complexes
    qconf -Mc complexes
    cat > pe <<'END'
{pe}
END
    qconf -Ap pe
    qconf -ssconf | sed 's/^schedule_interval .*/schedule_interval 0:0:1/; s/^flush_submit_sec .*/flush_submit_sec 1/
        s/^flush_finish_sec .*/flush_finish_sec 1/; s/^schedd_job_info .*/schedd_job_info true/' > schedule
    qconf -Msconf schedule
    qconf -sconf | sed 's/^load_report_time .*/load_report_time 00:00:02/; s/^max_unheard .*/max_unheard 00:00:20/
        s/flush_time=[0-9:]*/& accounting_flush_time=00:00:00/; /^#/d' > global
    qconf -Mconf global
    qconf -ah {nodes}  # from here on their execd may come, and takes what it is told then
    printf 'group_name @allhosts\\nhostlist NONE\\n' > group
    qconf -Ahgrp group
    cat > queue <<'END'
{queue}
END
    qconf -Aq queue
    for node in {node_words}; do
        until qconf -sel | grep -qx $node; do sleep 0.1; done
        qconf -rattr exechost complex_values slots={slots},h_vmem={memory},mem_free={memory},gpu={gpus} $node
        qconf -aattr hostgroup hostlist $node @allhosts
    done
    touch {ready}
}}

configure > /var/log/lab-qmaster-setup.log 2>&1 &
SGE_ND=1 exec sge_qmaster
"""


@dataclass(frozen=True, kw_only=True)
class Sge:
    master: str
    submit: tuple[str, ...]
    nodes: tuple[str, ...]
    slots: int = 4
    memory: str = "8G"
    gpus: int = 2
    time_limit: str = "08:00:00"

    kind = "sge"
    packages = packages.SGE

    def files(self, host: Host, *, secret: str) -> tuple[File, ...]:
        del secret
        master = (File(path=_SETUP, text=self._setup(), mode=0o755),) if host.name == self.master else ()
        where = File(path="/etc/default/gridengine", text=f"SGE_ROOT={_ROOT}\nSGE_CELL=default\n")
        return (*master, where) if self._member(host) else ()

    def directories(self, host: Host) -> Mapping[str, str]:
        spool = [f"{_SPOOL}{name}" for name in ("", "/qmaster", "/qmaster/job_scripts", "/spooldb", "/execd")]
        return dict.fromkeys([_ROOT, *spool], _ADMIN) if self._member(host) else {}

    def daemons(self, host: Host) -> tuple[Daemon, ...]:
        """An execd registers itself, once the master lets its host."""
        wait = f"until qconf -sh 2>/dev/null | grep -qx {host.name}; do sleep 0.2; done"
        execd = ("/bin/sh", "-c", f"{wait}; SGE_ND=1 exec sge_execd")
        return (
            *([Daemon(name="qmaster", argv=(_SETUP,), ready_port=_MASTER_PORT)] if host.name == self.master else []),
            *([Daemon(name="execd", argv=execd)] if host.name in self.nodes else []),
        )

    def wait_ready(self, lab: "Lab") -> None:
        until(lambda: self._all_up(lab), what="Grid Engine with all its nodes up", seconds=60)

    def cancel(self, lab: "Lab", user: str) -> None:
        """By force, so that what a node that is cut off holds goes too."""
        lab.host(self.master).run(["qdel", "-f", "-u", user], check=False, timeout=20)

    def idle(self, lab: "Lab", user: str) -> bool:
        return not self.jobs(lab, user)

    def jobs(self, lab: "Lab", user: str) -> list[str]:
        lines = lab.host(self.master).run(["qstat", "-u", user], timeout=20).stdout.splitlines()
        return [line.split()[0] for line in lines[2:]]

    @property
    def controller_process(self) -> tuple[str, str]:
        return self.master, "sge_qmaster"

    def _setup(self) -> str:
        queue = {"qname": "all.q", "hostlist": "@allhosts", **_QUEUE, "slots": str(self.slots), "h_rt": self.time_limit}
        return _MASTER.format(
            master=self.master, admin=_ADMIN, spool=_SPOOL, submit=",".join((self.master, *self.submit)),
            nodes=",".join(self.nodes), node_words=" ".join(self.nodes), slots=self.slots, memory=self.memory,
            gpus=self.gpus, ready=_READY, pe=_attributes(_PE), queue=_attributes(queue),
        )

    def _member(self, host: Host) -> bool:
        return host.name in (self.master, *self.submit, *self.nodes)

    def _all_up(self, lab: "Lab") -> bool:
        """A queue instance whose load is not known cannot take jobs yet."""
        master = lab.host(self.master)
        if not master.exists(_READY):
            return False
        queues = master.run(["qstat", "-f"], check=False, timeout=20).stdout.splitlines()
        up = [line for line in queues if line.startswith("all.q@") and "-NA-" not in line and len(line.split()) == 5]
        return len(up) == len(self.nodes)


def _attributes(values: Mapping[str, str]) -> str:
    return "\n".join(f"{name} {value}" for name, value in values.items())
