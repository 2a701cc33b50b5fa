"""Settings of the property tests: a busy machine is no failure, and CI repeats itself."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "house",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
    print_blob=True,
)
settings.load_profile("house")

# Runs suites of their own, for the plugin that the test kit brings.
pytest_plugins = ["pytester"]
