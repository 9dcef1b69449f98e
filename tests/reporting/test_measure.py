"""Time and memory: a known allocation is seen, calls take turns, a dying process is an error."""

import os

import pytest
import torch

from reporting.measure import Meter, in_fresh_process, seconds_of

MIB = 2**20


def added_memory(mib, keep):
    """Bytes that the meter sees while so many MiB are allocated, and given back or kept."""
    with Meter() as meter:
        held = torch.ones(mib * MIB // 4)
        if not keep:
            del held
    return meter.memory


@pytest.mark.parametrize("keep", [True, False])
def test_memory_is_that_of_the_peak(keep):
    if not os.path.exists("/proc/self/clear_refs"):
        assert added_memory(1, keep) is None
    else:
        assert 45 * MIB < added_memory(50, keep) < 55 * MIB


def test_memory_is_unknown_where_the_system_does_not_tell(monkeypatch):
    monkeypatch.setattr("reporting.measure._restart_peak", lambda device: None)
    assert added_memory(1, keep=True) is None


def test_a_meter_that_did_not_run_shows_zero():
    meter = Meter()
    assert (meter.seconds, meter.memory) == (0.0, 0)


def test_time_is_that_of_the_block(monkeypatch):
    now = iter([10.0, 12.5])
    monkeypatch.setattr("reporting.measure.time.perf_counter", lambda: next(now))
    with Meter() as meter:
        pass
    assert meter.seconds == 2.5


def test_rounds_rotate():
    order = []
    calls = {name: (lambda name=name: order.append(name)) for name in "abc"}
    seconds = seconds_of(calls, 3)
    assert "".join(order) == "abc" + "bca" + "cab" + "abc"
    assert {name: len(values) for name, values in seconds.items()} == dict.fromkeys("abc", 3)


def test_a_process_of_its_own_returns_the_result():
    assert in_fresh_process(os.getpid, lean=True) != os.getpid()
    assert "MALLOC_TRIM_THRESHOLD_" not in os.environ


def test_a_process_that_dies_is_an_error():
    with pytest.raises(RuntimeError, match="_exit died with exit code 7"):
        in_fresh_process(os._exit, 7)
