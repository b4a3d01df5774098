"""Surveys on a real cluster, through the three steps in which AWX runs a job: what Slurm and the account were told."""

import json

from tests import awx
from tests.laptop import FOUND, JUPYTER, PREFIX, Laptop, changed

_STEPS = (
    "set -eo pipefail; export PATH={prefix}/bin:$PATH; "
    "ansible-runner transmit awx -p hpc.jupyter.{playbook} | ansible-runner worker | ansible-runner process awx"
)
_KEYS = {
    "AAAAC3NzaC1lZDI1NTE5AAAAIB9sHzg4WxpqMJ5ub/8MG8Kxg+VOKOxwFbuWFHdTRDzL": "mine, at home",
    "AAAAC3NzaC1lZDI1NTE5AAAAIMlm5gBgEPrUgAQp/TTpA9iKOdgAHRYpVd8D8qDvmPvh": "mine, on the train",
}
ONBOARD = {
    "jupyter_access_names": "false", "jupyter_access_gateways": "false", "jupyter_access_all": "true",
    "jupyter_access_public_keys": "\n".join(f"ssh-ed25519 {key} {whose}" for key, whose in _KEYS.items()),
    "jupyter_environment_kind": "existing", "jupyter_environment_path": JUPYTER, "jupyter_environment_packages": "",
    "jupyter_environment_modules": "", "jupyter_environment_debugger": "false", "jupyter_server_tls": "auto",
    "jupyter_server_certificate_days": 365,
}  # fmt: skip
LAUNCH = {
    "jupyter_access_names": "false", "jupyter_session_name": "survey", "jupyter_session_time": "0-0:30:00",
    "jupyter_session_memory": "300M", "jupyter_session_gpus": "fake:1", "jupyter_session_partition": "gpu",
    "jupyter_session_project": "astro", "jupyter_session_cpus": 2, "jupyter_session_idle_seconds": 7200,
    "jupyter_session_wait_seconds": 0, "jupyter_session_exclusive": "false", "jupyter_session_all": "true",
}  # fmt: skip
_EMPTY = dict.fromkeys((f"jupyter_session_{name}" for name in ("time", "memory", "gpus", "partition", "project")), "")


def _job(person: Laptop, playbook: str, answers: dict[str, object]) -> int:
    """Run a playbook as a job; how much has changed."""
    client = person.lab.host("client")
    client.run(["sh", "-c", "rm -rf awx; mkdir -p awx/env awx/project; cp -r inventory awx"], user=person.user)
    client.write(f"/home/{person.user}/awx/env/extravars", awx.extravars(answers), owner=person.user, mode=0o600)
    steps = _STEPS.format(prefix=PREFIX, playbook=playbook)
    return changed(client.run(["bash", "-c", steps], user=person.user, env=FOUND, timeout=200))


def test_slurm_is_asked_for_what_a_survey_was_answered(alice: Laptop) -> None:
    _job(alice, "onboard", ONBOARD)
    assert set(_KEYS) <= set(alice.login.read("/home/alice/.ssh/authorized_keys").split())
    assert _job(alice, "launch", LAUNCH) == 1
    [[job, name, _state, _node]] = alice.squeue()
    shown = alice.login.run(["scontrol", "--oneliner", "show", "job", job]).stdout.split()
    asked = {"TimeLimit=00:30:00", "MinMemoryNode=300M", "Partition=gpu", "Account=astro", "NumCPUs=2"}
    assert (name.rpartition("-")[0], asked - set(shown)) == ("hpc-jupyter-survey", set())
    assert [word for word in shown if word.startswith("TresPer") and word.endswith("gpu:fake:1")]
    request = alice.login.read("/home/alice/.local/share/hpc-jupyter/lab/sessions/survey/request.json")
    assert json.loads(request)["idle_seconds"] == 7200
    assert _job(alice, "launch", {**LAUNCH, **_EMPTY}) == 0
