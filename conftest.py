"""Shape checks, one thread a process, and the one hypothesis profile of every test run."""

import os

# Tests work on tiny tensors: more threads gain nothing, and they starve each other where several
# test processes share the cores. Libraries read this when they are loaded, and so do the programs
# that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import HealthCheck, settings

try:
    import beartype  # noqa: F401
except ImportError:
    pass
else:
    from jaxtyping import install_import_hook

    install_import_hook("di4c", "beartype.beartype")

# The same examples on every machine and no clocks: a failure is a fact about the code.
settings.register_profile(
    "reproducible", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("reproducible")


def pytest_collection_modifyitems(items):
    """The slow tests first, so that no core waits for one that was started last."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
