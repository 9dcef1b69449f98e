"""Every claim about few-step discrete diffusion, checked exactly, with its test beside it."""

import os

# The matrices are small: more threads gain nothing. On a busy machine they wait for each other, and
# one claim took 60 s instead of 1 s. Libraries read this when they are loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")
