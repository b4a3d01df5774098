"""Every way in which a submit goes wrong, at a real Slurm: run the command again, and there is one job."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from hpclab import Lab
from tests import faults
from tests.laptop import Laptop

SEED = 4


@pytest.mark.rows("F1", "F2", "F35", "B49")
def test_whatever_becomes_of_a_submit_there_is_one_job_and_none_after_a_stop(alice: Laptop, lab: Lab) -> None:
    alice.set_up()
    faults.tiny_jobs(alice)
    with faults.submit_faults(alice.login, seed=SEED) as made, ThreadPoolExecutor(4) as side_by_side:
        done = list(side_by_side.map(lambda name: faults.cycle(alice, name), faults.names(SEED, 10)))
        injected = made.injected
    problems = [problem for each in done if each.problems for problem in (*each.problems, *each.said)]
    assert not problems, "\n".join([*problems, *injected])
    assert set(injected) == set(faults.KINDS)
    assert alice.squeue() == []
