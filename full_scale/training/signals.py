"""How a training run takes SIGTERM: it ends the current step and saves."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


def outlive_sigterm(_: int) -> None:
    """Let the processes that read ahead ignore SIGTERM.

    Launchers and schedulers send SIGTERM to all processes of a group or of a job. The main process
    still needs its workers to end the step and save.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@contextmanager
def asked_to_stop() -> Iterator[list[int]]:
    """Yield a list that is empty until SIGTERM arrives."""
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        yield received
    finally:
        signal.signal(signal.SIGTERM, before)
