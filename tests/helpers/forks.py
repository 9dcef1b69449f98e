"""New processes that need not load torch: they are forked from one that has."""

import multiprocessing

FORKS = multiprocessing.get_context("forkserver")
"""As in `FORKS.Process(target=function, args=arguments)`."""

FORKS.set_forkserver_preload(["tests.helpers.train_cases"])
