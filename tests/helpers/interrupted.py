"""Sources of rows that stop early, or must be asked to continue at a given place."""


def first(rows, count, *args):
    """The first batches of a source, and then an interruption."""
    for number, item in enumerate(rows(*args)):
        if number == count:
            raise KeyboardInterrupt
        yield item
    raise KeyboardInterrupt


def only_from(rows, cursor, *args):
    """The batches of a source, which must be asked to continue at this cursor."""
    assert args[-1] == cursor
    yield from rows(*args)
