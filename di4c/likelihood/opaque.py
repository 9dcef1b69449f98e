"""The sweep as torch.compile sees it: one call that stays as it is, and compiled surroundings.

A module of its own, imported when something is compiled: it loads the compiler, which takes as long
as torch itself.
"""

import torch

from di4c.likelihood.statistics import Sweep

sweep = torch.compiler.disable(Sweep.apply)
