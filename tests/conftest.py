"""Hypothesis profiles: `dev` by default, `ci` where CI is set, `thorough` by HYPOTHESIS_PROFILE=thorough.

Every run draws new examples, also in CI: a failure prints a blob that repeats it with `@reproduce_failure`.
"""

import os

from hypothesis import HealthCheck, settings

# A loaded machine is slow without being wrong, so time never fails a property.
PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "print_blob": True}

settings.register_profile("dev", max_examples=50, derandomize=False, **PATIENT)
settings.register_profile("ci", max_examples=200, derandomize=False, **PATIENT)
settings.register_profile("thorough", max_examples=5_000, derandomize=False, **PATIENT)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))
