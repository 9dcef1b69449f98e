"""Named pipes, as a shell makes them for programs."""

import os


def named_pipe(folder):
    """A named pipe, and a function that reads what was written to it."""
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # a writer waits for a reader

    def read():
        text = os.read(end, 10_000)
        os.close(end)
        return text

    return pipe, read
