"""Start processes quickly: they are forked from a process that has imported torch already."""

import multiprocessing
import os
import sys

from reporting import run_script

FORKS = multiprocessing.get_context("forkserver")
"""Usage: `FORKS.Process(target=function, args=arguments)`."""

# The last two modules are slow to import. Training and the data set digits need them.
FORKS.set_forkserver_preload(["tests.helpers.train_cases", "torch._dynamo", "sklearn.datasets"])


def as_program(main, arguments, errors, environment=()):
    """Do what `python -m` does with a program, and end this process.

    Args:
        main: main function of the program, which takes a command line.
        arguments: the command line.
        errors: file that takes the standard error.
        environment: environment variables to set first.
    """
    # By default this process would start its own children from the fork server as well.
    multiprocessing.set_start_method("fork", force=True)
    os.environ |= dict(environment)
    with open(errors, "w") as sys.stderr:
        run_script(lambda: main(arguments))
