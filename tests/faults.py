"""Faults of a submit, drawn from a seed, and jobs so small that one cycle of submit, find again and stop is quick."""

from __future__ import annotations

import json
import shlex
import string
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from hpclab.host import RunningHost
from tests.laptop import Laptop

KINDS = (
    "refused", "unheard", "late", "slow", "silent", "junk", "doubled-id", "caller-killed-before", "caller-killed-after",
)
"""``lost`` is one more: no job comes of it, and whoever submits has to wait before it may believe that."""
SBATCH = "/usr/local/bin/sbatch"
_PLACE = "/srv/submit-faults"
_ATTEMPTS = 6
_OK, _WAITING = 0, 6
_SHIM = string.Template('''#!/usr/bin/python3 -I
"""Stands before the real sbatch: some calls go wrong in one of the ways in which they do."""
import fcntl, os, random, signal, subprocess, sys, time

SEED, PROBABILITY, KINDS, PLACE = $settings
TIMED_OUT = "Batch job submission failed: Socket timed out on send/recv operation"


def submit(**options):
    return subprocess.run(["/usr/bin/sbatch", *sys.argv[1:]], stdout=subprocess.PIPE, text=True, **options)


def hand_over():
    os.execv("/usr/bin/sbatch", ["sbatch", *sys.argv[1:]])


def fail(text):
    sys.exit(f"sbatch: error: {text}")


def later(seconds):
    if os.fork():
        return
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    time.sleep(seconds)
    hand_over()


def kill_caller():
    os.kill(os.getppid(), signal.SIGKILL)


def act(kind, seconds):
    if kind == "refused":
        fail("Batch job submission failed: Job violates accounting/QOS policy")
    elif kind == "lost":
        fail(TIMED_OUT)
    elif kind == "unheard":
        submit()
        fail(TIMED_OUT)
    elif kind == "late":
        later(seconds)
        fail(TIMED_OUT)
    elif kind == "slow":
        time.sleep(seconds)
        hand_over()
    elif kind == "silent":
        submit()
    elif kind == "junk":
        made = submit().stdout.strip()
        print(f"*** Maintenance on Tuesday ***\\n{made};lab\\n1000 hours are left to your project")
    elif kind == "doubled-id":
        made = submit().stdout.strip()
        print(f"{made}\\n1000")
    elif kind == "caller-killed-before":
        kill_caller()
        later(seconds)
    elif kind == "caller-killed-after":
        submit()
        kill_caller()


with open(os.path.join(PLACE, "log"), "a+") as log:
    fcntl.flock(log, fcntl.LOCK_EX)
    log.seek(0)
    number = len(log.readlines())
    dice = random.Random(f"{SEED} {number}")
    # Like cards: every kind comes once before one comes again.
    round, card = divmod(number, len(KINDS))
    deck = random.Random(f"{SEED} round {round}").sample(KINDS, len(KINDS))
    kind = deck[card] if dice.random() < PROBABILITY else "none"
    log.write(f"{kind}\\n")
if kind == "none":
    hand_over()
act(kind, dice.uniform(0.3, 2.0))
''')
TINY = '''#!/usr/bin/python3
"""Takes part in a session as its supervisor does, with the real claim, but runs no Jupyter."""
import os, signal, sys
from dataclasses import replace

command, _verb, directory, generation = sys.argv[1:]
sys.path.insert(0, command)
from ansible_collections.hpc.jupyter.plugins.module_utils.claim import Claim

os.umask(0o077)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
claim = Claim(directory, int(generation), os.environ)
if claim.take() is None:
    sys.exit(print(claim.step_back))
claim.update(lambda record: replace(record, state="ready", socket="/nowhere", pid=os.getpid()))
while signal.sigtimedwait({signal.SIGTERM}, 0.5) is None:
    if claim.is_superseded():
        sys.exit(0)
claim.conclude(how="stopped", reason="stopped on request")
'''


@dataclass(frozen=True)
class SubmitFaults:
    """The faults that a login host's ``sbatch`` has from now on."""

    host: RunningHost

    @property
    def injected(self) -> list[str]:
        """The kind of every call so far, ``none`` where it went well."""
        return self.host.read(f"{_PLACE}/log").split()


@contextmanager
def submit_faults(
    host: RunningHost, *, seed: int, probability: float = 1.0, kinds: Sequence[str] = KINDS
) -> Iterator[SubmitFaults]:
    """A call of ``sbatch`` on ``host`` goes wrong with ``probability``, in one of ``kinds``; ``seed`` repeats a run."""
    host.run(["install", "-d", "-m", "1777", _PLACE])
    host.write(f"{_PLACE}/log", "", mode=0o666)
    settings = repr((seed, probability, tuple(kinds), _PLACE))
    host.write(SBATCH, _SHIM.substitute(settings=settings), mode=0o755)
    try:
        yield SubmitFaults(host)
    finally:
        host.run(["rm", "-f", SBATCH])


def tiny_jobs(person: Laptop) -> None:
    """Let the sessions of an account that is set up run without Jupyter: the claim and the record are real."""
    root = _root(person)
    person.login.write(f"{root}/tiny", TINY, owner=person.user, mode=0o755)
    script = f"export HPC_JUPYTER_PYTHON={root}/tiny\n"
    person.login.write(f"{root}/environment.sh", script, owner=person.user, mode=0o600)


@dataclass(frozen=True)
class Cycle:
    """One session from its first start to its stop: what each command printed, and what was wrong in between."""

    said: tuple[str, ...]
    problems: tuple[str, ...]


def cycle(person: Laptop, session: str, *, host: RunningHost | None = None) -> Cycle:
    """Start, again until it is there, and stop, by the account's own command; at most one job at any look."""
    there = host or person.login
    said, problems = [], []
    for _attempt in range(_ATTEMPTS):
        code, text = _command(person, there, "start", "--wait", "0", "--time", "0:10:00", session=session)
        said.append(text)
        if code in (_OK, _WAITING):
            break
    else:
        problems.append(f"no session after {_ATTEMPTS} attempts")
    problems += _wrong(person, there, session, jobs=1)
    code, text = _command(person, there, "stop", session=session)
    problems += [f"stop: {text}"] if code else []
    problems += _wrong(person, there, session, jobs=0)
    return Cycle((*said, text), tuple(problems))


def jobs_of(person: Laptop, host: RunningHost, session: str) -> list[str]:
    """The ids of the session's jobs that are not over."""
    rows = host.run(["squeue", "--noheader", "--user", person.user, "--format", "%i|%j|%T"], timeout=60).stdout
    parts = [row.split("|") for row in rows.splitlines()]
    return [job for job, name, _state in parts if name.startswith(f"hpc-jupyter-{session}-")]


def names(seed: int, count: int) -> list[str]:
    """Names of sessions, for cycles that run side by side."""
    return [f"s{seed}-{number}" for number in range(count)]


def _wrong(person: Laptop, host: RunningHost, session: str, *, jobs: int) -> list[str]:
    found = jobs_of(person, host, session)
    problems = [] if len(found) == jobs else [f"{session}: {jobs} jobs expected, found {found}"]
    record = f"{_root(person)}/sessions/{session}/record.json"
    mode = host.run(["stat", "-c", "%a", record]).stdout.strip()
    content = json.loads(host.read(record))
    over = content["state"] == "ended"
    if mode != "600" or over == bool(jobs) or (found and content["job_id"] != found[0]):
        problems.append(f"{session}: the record does not fit: mode {mode}, {content}, jobs {found}")
    return problems


def _command(person: Laptop, host: RunningHost, *arguments: str, session: str) -> tuple[int, str]:
    argv = [f"{_root(person)}/hpc-session", *arguments, "--session", session]
    done = host.run(argv, user=person.user, check=False, timeout=200)
    return done.returncode, f"{shlex.join(arguments)}: {done.returncode}: {done.stdout}{done.stderr}".strip()


def _root(person: Laptop) -> str:
    return f"/home/{person.user}/.local/share/hpc-jupyter/{person.cluster}"
