"""New processes that need not load torch: they are forked from one that has."""

import multiprocessing
import os
import sys

from reporting import run_script

FORKS = multiprocessing.get_context("forkserver")
"""As in `FORKS.Process(target=function, args=arguments)`."""

# The last two are imported by the first step of any training, and by the digits.
FORKS.set_forkserver_preload(["tests.helpers.train_cases", "torch._dynamo", "sklearn.datasets"])


def as_program(main, arguments, errors, environment=()):
    """Do what `python -m` does with a program, to the end of this process.

    Args:
        main: the program's function of a command line.
        arguments: the command line.
        errors: file that takes the standard error.
        environment: variables that are set before.
    """
    # A process that is forked from a server would start its own children from a server as well.
    multiprocessing.set_start_method("fork", force=True)
    os.environ |= dict(environment)
    with open(errors, "w") as sys.stderr:
        run_script(lambda: main(arguments))
