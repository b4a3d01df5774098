"""Properties hold for whatever hypothesis thinks of: always the same examples, and few enough for every run."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

from tests.machine import ROOT

set_hypothesis_home_dir(str(ROOT / ".build" / "hypothesis"))
settings.register_profile(
    "fixed", derandomize=True, database=None, deadline=None, max_examples=150, print_blob=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
settings.load_profile("fixed")
