"""Tries mutants on the tests of the folder in which it is started, without the slow tests.

It collects the tests once and notes which functions each test calls. Each mutant then gets a fork
of this process. The changed function takes the place of the old one in memory, and the tests that
call it run, the fastest first, up to the first failure. If they all pass, or something else than a
function has changed, a fork imports everything anew from the mutated file: what a test file makes
at import keeps the old function otherwise.

The request is JSON on standard input: {"tests": [folder, ...], "mutants": [[file, source], ...]}.
Each answer is a line on standard output. There are no shape checks here: a test has to find the
mutant by what it asserts.
"""

import contextlib
import gc
import importlib
import inspect
import json
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType

import pytest

QUIETLY = ("-n0", "-q", "-s", "-p", "no:cacheprovider", "-m", "not slow")
LONGEST = 60.0  # seconds of tests for one mutant, which nearly all callers need
BYTES = 2**32
TIMED_OUT = (-signal.SIGXCPU, -signal.SIGALRM, -signal.SIGKILL)
ROOT = f"{Path.cwd()}/"


def functions(code: CodeType) -> Iterator[tuple[str, CodeType]]:
    """The functions and methods of a module, by qualified name."""
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            is_function = inner.co_flags & inspect.CO_NEWLOCALS
            yield from [(inner.co_qualname, inner)] if is_function else functions(inner)


def changed(path: Path, source: str) -> dict[str, CodeType]:
    """The functions that a mutant changes. It changes something else if there is none."""
    texts = (path.read_text("utf-8"), source)
    if len({text.count("\n") for text in texts}) > 1:  # a decorator is gone, and lines have moved
        return {}
    old, new = (dict(functions(compile(t, path, "exec", dont_inherit=True))) for t in texts)
    return {name: code for name, code in new.items() if code != old.get(name)}


def passes(session: pytest.Session, names: list[str]) -> bool:
    """Run tests up to the first failure."""
    known = {item.nodeid: item for item in session.items}
    items, failed = [known[name] for name in names], session.testsfailed
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed > failed:
            return False
    return True


def passes_anew(names: list[str]) -> bool:
    """Import all files of this folder again, and run tests up to the first failure."""

    class Chosen:
        @pytest.hookimpl(trylast=True)
        def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
            known = {item.nodeid: item for item in items}
            items[:] = [known[name] for name in names if name in known]

    for name, module in [*sys.modules.items()]:
        if str(getattr(module, "__file__", "")).startswith(ROOT):
            del sys.modules[name]
    files = dict.fromkeys(name.partition("::")[0] for name in names)
    return pytest.main([*QUIETLY, "-x", *files], plugins=[Chosen()]) == 0


def calls(session: pytest.Session) -> dict[str, tuple[float, list[tuple[str, str]]]]:
    """For each test that passes: seconds of the processor, and the functions that it calls."""
    found = {}
    for item in session.items:
        codes: set[CodeType] = set()
        start = time.process_time()
        sys.settrace(lambda frame, event, arg, codes=codes: codes.add(frame.f_code))
        passed = passes(session, [item.nodeid])
        sys.settrace(None)
        ours = sorted({(c.co_filename, c.co_qualname) for c in codes if ROOT in c.co_filename})
        if passed:
            found[item.nodeid] = time.process_time() - start, ours
    return found


def forked(work: Callable[[], object], seconds: float) -> tuple[int, str]:
    """The status of some work in a fork with limits on time and memory, and its result as JSON."""
    with tempfile.TemporaryFile("w+") as answer:
        child = os.fork()
        if child == 0:
            os.setsid()
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            limits = {resource.RLIMIT_CPU: int(seconds) + 1}
            limits[resource.RLIMIT_AS] = pages * os.sysconf("SC_PAGE_SIZE") + BYTES
            for kind, limit in limits.items():
                resource.setrlimit(kind, (limit, limit))
            signal.alarm(20 * int(seconds) + 20)  # of the clock: others may use the processor
            sys.dont_write_bytecode = True
            try:
                json.dump(work(), answer)
                answer.flush()
                os._exit(0)
            finally:  # after an error of any kind
                os._exit(1)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # programs that a test has left
        answer.seek(0)
        return status, answer.read()


class Loop:
    """Pytest plugin: its loop over mutants takes the place of the loop over the tests."""

    def __init__(self, mutants: list[tuple[str, str]], answer: Callable[[str], None]) -> None:
        self.mutants, self.answer = mutants, answer

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        status, answer = forked(lambda: [calls(session), [*sys.modules]], 3600)
        if status:
            raise RuntimeError(f"the tests end with status {status} before any mutant is tried")
        called, modules = json.loads(answer)
        self.calls = dict(sorted(called.items(), key=lambda call: call[1][0]))  # fastest first
        for name in modules:  # what tests import late
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        self.functions = [f for f in gc.get_objects() if type(f) is FunctionType]
        gc.freeze()
        names = [*self.calls]
        for work in (lambda: passes(session, names), lambda: passes_anew(names)):
            if forked(work, 3600) != (0, "true"):
                raise RuntimeError("the tests fail without a mutant when they run in a fork")
        for file, source in self.mutants:
            self.answer(self.verdict(session, Path(ROOT, file), source))
        return True

    def verdict(self, session: pytest.Session, path: Path, source: str) -> str:
        """What the tests say: "killed", "timed out" or "survived"."""
        new = changed(path, source)
        names, seconds = self.callers(path, new)
        if not names:  # a constant, or a function that runs at import
            names, seconds = self.callers(path, new := {})
        if not names:
            return "survived"

        def in_memory() -> bool:
            for function in self.functions:
                code = function.__code__
                if code.co_filename == str(path):
                    function.__code__ = new.get(code.co_qualname, code)
            return passes(session, names)

        def anew() -> bool:
            path.write_text(source, "utf-8")
            return passes_anew(names)

        whole, times = path.read_text("utf-8"), path.stat()
        for work in [in_memory, anew] if new else [anew]:
            status, answer = forked(work, 5 + 3 * seconds)
            path.write_text(whole, "utf-8")
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # its bytecode stays valid
            if (status, answer) != (0, "true"):
                return "timed out" if status in TIMED_OUT else "killed"
        return "survived"

    def callers(self, path: Path, new: dict[str, CodeType]) -> tuple[list[str], float]:
        """Tests that call one of these functions of a file, or any if there is none; and seconds.

        The fastest come first. Those that would take more than `LONGEST` together are left out.
        """
        names, total = [], 0.0
        for name, (seconds, called) in self.calls.items():
            calls_it = any(file == str(path) and (not new or f in new) for file, f in called)
            if calls_it and total + seconds < LONGEST:
                total += seconds
                names.append(name)
        return names, total


def main() -> None:
    """Try the mutants of a request."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.modules["beartype"] = None  # type: ignore[assignment]
    request = json.load(sys.stdin)
    loop = Loop(request["mutants"], lambda said: print(json.dumps(said), file=answers))
    sys.exit(pytest.main([*QUIETLY, *request["tests"]], plugins=[loop]))


if __name__ == "__main__":
    main()
