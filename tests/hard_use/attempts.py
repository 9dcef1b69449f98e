"""Runs one reader on one file in a process of its own, with a limit on time and memory."""

import json
import os
import resource
import signal
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

SECONDS = 10
BYTES = 2**31


class Verdict(NamedTuple):
    """What a reader did with a file.

    Attributes:
        kind: "same" as the undamaged file, "other" content, or "refused" in one line that names the
            file; anything else is a failure: "traceback", "several lines", "unnamed", "killed".
        detail: digest of the content, or what was said.
    """

    kind: str
    detail: str


REFUSED = "refused"
FAILURES = ("traceback", "several lines", "unnamed", "killed")


def attempt(read: Callable[[], str], names: Sequence[str], right: str | None = None) -> Verdict:
    """The verdict on a reader.

    Args:
        read: reads a file and returns a digest of its content.
        names: a refusal must hold one of them.
        right: digest of the undamaged content.
    """
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receive)
        _set_limits()
        answer = judge(read, names, right)
        os.write(send, json.dumps(answer).encode()[:4000])
        os._exit(0)
    os.close(send)
    with os.fdopen(receive, "rb") as pipe:
        content = pipe.read()
    os.waitpid(child, 0)
    return Verdict(*json.loads(content)) if content else Verdict("killed", "by a limit")


def _set_limits() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(10 * SECONDS)  # of the clock, as other programs may share the processor


def judge(read: Callable[[], str], names: Sequence[str], right: str | None) -> Verdict:
    """The verdict on a reader, in this process and without limits; see `attempt`."""
    warnings.simplefilter("ignore")
    try:
        found = read()
    except (ValueError, OSError) as error:
        text = str(error)
        if type(error) is OSError and error.errno is None:
            return Verdict("traceback", repr(error)[:300])
        if "\n" in text.strip():
            return Verdict("several lines", text[:300])
        named = any(name in f"{text} {getattr(error, 'filename', '')}" for name in names)
        return Verdict(REFUSED if named else "unnamed", text[:300])
    except BaseException as error:
        return Verdict("traceback", f"{type(error).__name__}: {error}"[:300])
    return Verdict("same" if found == right else "other", found[:80])
