"""A port at which processes of one test meet."""

import random
import socket


def free_port() -> int:
    """A free port below 32768, where the system chooses none by itself.

    A port that the system has chosen may be chosen for another program before we use it.
    """
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
