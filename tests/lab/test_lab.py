"""The test cluster is what it says it is."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from hpclab import Bind, Lab, LabError, packages, topologies
from hpclab.process import until

HOSTS = [host.name for host in topologies.SLURM.hosts]
JUMP = ["-J", "gate,login"]
ASKPASS = '#!/bin/sh\nprintf "%s\\n" "$PASSWORD"\n'


def ssh(lab: Lab, *argv: str, user: str = "alice", host: str = "client", check: bool = True) -> str:
    lab.host(host).write(f"/home/{user}/.ssh/known_hosts", lab.known_hosts(), owner=user, mode=0o600)
    options = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=5"]
    done = lab.host(host).run(["ssh", *options, *argv], user=user, check=check, timeout=30)
    return done.stdout if check else done.stderr


def sbatch(lab: Lab, script: str, *options: str) -> str:
    argv = ["sbatch", "--parsable", *options]
    return lab.host("login1").run(argv, user="alice", input=f"#!/bin/sh\n{script}\n").stdout.strip()


def job(lab: Lab, number: str, field: str) -> str:
    argv = ["squeue", "--noheader", "--states=all", f"--jobs={number}", f"--format={field}"]
    return lab.host("login1").run(argv, user="alice").stdout.strip()


def reach(lab: Lab, source: str, target: str, port: int = 22) -> bool:
    """Over TCP, by address: names do not help where there is no way."""
    address = lab.address(target, by=source) or lab.address(target, by=target)
    probe = f"import socket; socket.create_connection(('{address}', {port}), 2)"
    return lab.host(source).run(["python3", "-c", probe], check=False).returncode == 0


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_has_a_short_name_and_a_process_tree_of_its_own(running_lab: Lab, host: str) -> None:
    there = running_lab.host(host)
    assert there.run(["hostname"]).stdout.strip() == host
    assert there.processes()[0][0] == 1
    assert there.read("/etc/hostname") == f"{host}\n"


@pytest.mark.parametrize(
    ("source", "target", "reached"),
    [
        ("client", "gate", True),
        ("client", "login1", False),
        ("client", "c1", False),
        ("client", "ctl", False),
        ("gate", "client", False),
        ("gate", "login1", True),
        ("gate", "login2", True),
        ("gate", "c1", False),
        ("login1", "c1", True),
        ("login2", "g1", True),
        ("c1", "login1", True),
        ("c1", "c2", True),
        ("c1", "gate", False),
    ],
)
def test_the_way_in_is_the_gateway_and_the_login_hosts(
    running_lab: Lab, source: str, target: str, reached: bool
) -> None:
    assert reach(running_lab, source, target) is reached


def test_only_ssh_passes_the_gateway_and_the_login_hosts(running_lab: Lab) -> None:
    for source, target in (("client", "gate"), ("gate", "login1"), ("login2", "login1")):
        with listening(running_lab, target, 8888):
            assert reach(running_lab, source, target, 8888) is (source == "login2")


def listening(lab: Lab, host: str, port: int) -> "Ended":
    program = f"import socket; s = socket.create_server(('', {port})); print('up', flush=True); s.accept()"
    process = lab.host(host).popen(["python3", "-c", program], stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == "up\n"
    assert any(listener.port == port for listener in lab.host(host).listeners())
    return Ended(process)


@pytest.mark.parametrize("user", [user.name for user in topologies.USERS])
def test_a_key_leads_through_gateway_and_login_host_to_a_node(lab: Lab, user: str) -> None:
    assert ssh(lab, *JUMP, "c1", "hostname", user=user) == "c1\n"


def test_an_agent_leads_from_a_login_host_to_a_node(lab: Lab) -> None:
    inner = "ssh -o StrictHostKeyChecking=accept-new c2 hostname"
    lab.host("client").write("/home/alice/.ssh/known_hosts", lab.known_hosts(), owner="alice")
    hops = ["ssh-agent", "sh", "-c", f"ssh-add -q && ssh -A -J gate login1 '{inner}'"]
    assert lab.host("client").run(hops, user="alice").stdout.splitlines()[-1] == "c2"


@pytest.mark.parametrize(("user", "shell"), [("alice", "bash"), ("mallory", "tcsh")])
def test_the_profile_on_login_hosts_prints_noise_before_the_answer(lab: Lab, user: str, shell: str) -> None:
    noise, answer = ssh(lab, "-J", "gate", "login1", "echo $0", user=user).splitlines()
    assert "módulos nuevos" in noise
    assert answer.endswith(shell)


def test_the_shell_of_bob_is_sh_and_quiet(lab: Lab) -> None:
    assert ssh(lab, "-J", "gate", "login1", "echo $0", user="bob") == "sh\n"


def test_the_banner_is_not_ascii_and_goes_to_stderr(lab: Lab) -> None:
    assert "gate: nur für Befugte · réservé" in ssh(lab, "gate", "true", check=False)


@pytest.mark.parametrize(("password", "ends"), [(None, 0), ("wrong", 255)])
def test_a_password_lets_in(lab: Lab, password: str | None, ends: int) -> None:
    client = lab.host("client")
    client.write("/home/mallory/askpass", ASKPASS, owner="mallory", mode=0o700)
    client.write("/home/mallory/.ssh/known_hosts", lab.known_hosts(), owner="mallory")
    secret = {"PASSWORD": password or lab.passwords["mallory"], "SSH_ASKPASS": "/home/mallory/askpass"}
    argv = ["ssh", "-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1", "gate", "true"]
    env = {**secret, "SSH_ASKPASS_REQUIRE": "force"}
    assert client.run(argv, user="mallory", env=env, check=False).returncode == ends


def test_the_facts_pin_what_the_hosts_present(lab: Lab) -> None:
    facts = lab.facts()
    scan = lab.host("client").run(["sh", "-c", "ssh-keyscan -t ed25519 gate | ssh-keygen -lf -"]).stdout
    assert lab.fingerprint("gate") == scan.split()[1] == facts["host_keys"]["gate"][0]
    assert facts["host_keys"]["login"] == [lab.fingerprint("login1"), lab.fingerprint("login2")]
    assert (facts["gateways"], facts["login_hosts"], facts["scheduler"]) == (["gate"], ["login"], "slurm")
    assert json.loads(json.dumps(facts)) == facts


def test_a_job_runs_on_a_node_of_the_default_partition(lab: Lab) -> None:
    sbatch(lab, "hostname; id -un", "--wait", "--output=out", "--nodelist=c1")
    assert lab.host("login2").read("/home/alice/out") == "c1\nalice\n"


def test_the_second_partition_gives_a_gpu(lab: Lab) -> None:
    sbatch(lab, "hostname; echo $CUDA_VISIBLE_DEVICES", "--wait", "--output=out", "--partition=gpu", "--gres=gpu:1")
    assert lab.host("login1").read("/home/alice/out") == "g1\n0\n"


def test_srun_attaches_to_a_step_from_a_login_host(lab: Lab) -> None:
    assert lab.host("login2").run(["srun", "--partition=gpu", "hostname"], user="alice").stdout == "g1\n"


def test_a_job_over_the_limit_of_its_partition_waits_for_ever(lab: Lab) -> None:
    number = sbatch(lab, "true", "--time=20:00:00")
    until(lambda: job(lab, number, "%r") == "PartitionTimeLimit", what="the reason of the job")


def test_an_unknown_partition_is_refused(lab: Lab) -> None:
    with pytest.raises(LabError, match="invalid partition specified: nosuch"):
        sbatch(lab, "true", "--partition=nosuch")


@pytest.mark.parametrize("folder", ["/tmp", "/var/tmp", "/dev/shm", "/run", "/var/log", "/etc", "/opt", "/root"])
def test_a_file_is_private_to_its_host(running_lab: Lab, folder: str) -> None:
    running_lab.host("c1").write(f"{folder}/mark", "c1")
    assert running_lab.host("c1").exists(f"{folder}/mark")
    assert not running_lab.host("c2").exists(f"{folder}/mark")
    assert not Path(folder, "mark").exists()


def test_a_socket_answers_on_its_own_host_only(lab: Lab) -> None:
    serve = "import socket; s = socket.socket(1); s.bind('/tmp/s'); s.listen(); print('up', flush=True); s.accept()"
    process = lab.host("c1").popen(["python3", "-c", serve], user="alice", stdout=subprocess.PIPE)
    with Ended(process):
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        assert "/tmp/s" in [listener.address for listener in lab.host("c1").listeners() if listener.port is None]
        assert not lab.host("c2").exists("/tmp/s")


def test_homes_are_shared_within_the_cluster_only(lab: Lab) -> None:
    lab.host("login1").write("/home/alice/mark", "here", owner="alice")
    seen = [host for host in HOSTS if lab.host(host).exists("/home/alice/mark")]
    assert seen == ["login1", "login2", "ctl", "c1", "c2", "g1"]


def test_a_user_has_a_clean_environment_and_its_own_groups(lab: Lab) -> None:
    there = lab.host("login1")
    env = dict(line.split("=", 1) for line in there.run(["env"], user="bob", env={"X": "1"}).stdout.splitlines())
    assert env == {
        "HOME": "/home/bob", "USER": "bob", "LOGNAME": "bob", "SHELL": "/bin/sh", "LANG": "C.UTF-8", "X": "1",
        "PATH": packages.SEARCH,
    }  # fmt: skip
    assert there.run(["id", "-Gn"], user="bob").stdout == "bob\n"
    assert there.run(["pwd"], user="bob", cwd="/var").stdout == "/var\n"


def test_a_command_that_takes_too_long_is_ended(lab: Lab) -> None:
    with pytest.raises(LabError, match=r"no end within 0\.3 s"):
        lab.host("c1").run(["sleep", "1000"], user="alice", timeout=0.3)
    until(lambda: not lab.host("c1").processes(user="alice"), what="end of sleep")


def test_ctrl_c_reaches_the_program_and_its_children(lab: Lab) -> None:
    # The sleep is in the foreground: a shell has its background commands ignore SIGINT.
    script = "trap 'echo stopped; exit 3' INT; echo up; sleep 1000; echo went on"
    process = lab.host("client").popen(["bash", "-c", script], user="alice", stdout=subprocess.PIPE)
    with Ended(process):
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        process.interrupt()
        assert process.stdout.readline() == "stopped\n"
        assert process.wait(timeout=10) == 3


def test_a_cut_host_is_out_of_reach_until_it_is_healed(lab: Lab) -> None:
    lab.cut("c1")
    assert not reach(lab, "login1", "c1")
    assert reach(lab, "login1", "c2")
    lab.heal("c1")
    until(lambda: reach(lab, "login1", "c1"), what="c1 back")


def test_a_round_robin_name_answers_as_told(lab: Lab) -> None:
    seen = []
    for host in ("login2", "login1"):
        lab.resolve("login", [host])
        seen.append(ssh(lab, "-J", "gate", "login", "hostname", user="bob").strip())
    assert seen == ["login2", "login1"]


def test_a_clean_account_holds_what_a_new_one_does(lab: Lab) -> None:
    fresh = {host: listing(lab, host) for host in HOSTS}
    sbatch(lab, "trap '' TERM; (sleep 900; true) & touch /tmp/x /dev/shm/y; mkdir -p z/z; sleep 900", "--nodelist=c1")
    until(lambda: lab.host("c1").exists("/dev/shm/y"), what="the job's files")
    lab.host("client").run(["sh", "-c", "mkdir -p a/b && touch a/b/c && rm .ssh/id_ed25519"], user="alice")
    lab.clean_account("alice")
    assert {host: listing(lab, host) for host in HOSTS} == fresh
    assert not [host for host in HOSTS if lab.host(host).processes(user="alice")]
    assert lab.host("ctl").run(["squeue", "--noheader"]).stdout == ""


def listing(lab: Lab, host: str) -> str:
    """All that alice owns on the host, with modes and sizes."""
    folders = ["/home", "/tmp", "/var/tmp", "/dev/shm", "/run", "/var/spool"]
    argv = ["find", *folders, "-user", "alice", "-printf", "%p %M %s\\n"]
    return "\n".join(sorted(lab.host(host).run(argv).stdout.splitlines()))


def test_labs_side_by_side_know_nothing_of_each_other(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "read").mkdir()
    (tmp_path / "write").mkdir()
    binds = [
        Bind(source=str(tmp_path / "read"), target="/opt/wheelhouse", hosts=("login1", "c1")),
        Bind(source=str(tmp_path / "write"), target="/opt/hpc-jupyter", hosts=("client",), writable=True),
    ]
    with Lab.up(topologies.SLURM, name=f"{lab.name}-b", binds=binds) as other:
        assert other.address("c1", by="login1") != lab.address("c1", by="login1")
        assert other.fingerprint("gate") != lab.fingerprint("gate")
        assert reach(other, "client", "gate")
        other.host("client").write("/opt/hpc-jupyter/mark", "made inside")
        assert (tmp_path / "write" / "mark").read_text() == "made inside"
        with pytest.raises(LabError, match="Read-only"):
            other.host("c1").write("/opt/wheelhouse/mark", "no")
    assert reach(lab, "client", "gate")


def test_another_shape_is_only_other_data() -> None:
    """A server without a queue that lets one host in, and forwards nothing."""
    server = topologies.Host(
        name="server",
        networks=("lan",),
        home="lan",
        sshd={"AllowTcpForwarding": "no"},
        allow=(topologies.Allow(network="lan", ports=(22,), sources=("desk",)),),
        otherwise="drop",
    )
    others = [topologies.Host(name=name, networks=("lan",), home="lan") for name in ("desk", "peer")]
    shape = topologies.Topology(
        name="shape",
        hosts=(server, *others),
        homes=(topologies.Home(name="lan", key=True, authorized=("lan",)),),
        users=topologies.USERS,
        clusters=(topologies.Cluster(name="server", gateways=(), login_hosts=("server",)),),
    )
    with Lab.up(shape, name=f"shape-{os.getpid()}") as lab:
        assert (lab.facts()["scheduler"], lab.facts()["gateways"]) == ("none", [])
        assert ssh(lab, "server", "hostname", host="desk") == "server\n"
        assert "open failed" in ssh(lab, "-J", "server", "peer", "hostname", host="desk", check=False)
        assert not reach(lab, "peer", "server")


def test_an_unknown_host_or_account_is_named(running_lab: Lab) -> None:
    with pytest.raises(LabError, match="no host 'c9'; there are client, gate"):
        running_lab.host("c9")
    with pytest.raises(LabError, match="no account 'eve'; there are root, alice"):
        running_lab.host("c1").run(["true"], user="eve")


class Ended:
    """A program that is ended with the block, and its pipe closed."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate(timeout=10)
