"""Sources of rows that are interrupted, or that must be continued at a given cursor."""


def first(rows, count, *args):
    """Yield the first `count` batches of a source, then raise KeyboardInterrupt."""
    for number, item in enumerate(rows(*args)):
        if number == count:
            raise KeyboardInterrupt
        yield item
    raise KeyboardInterrupt


def only_from(rows, cursor, *args):
    """Check that the source is asked to continue at this cursor, and yield its batches."""
    assert args[-1] == cursor
    yield from rows(*args)
