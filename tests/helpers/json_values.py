"""Values that have a JSON form, and their exact comparison."""

import json

from hypothesis import strategies as st

payloads = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
rows = st.dictionaries(st.text(), payloads, max_size=4)


def exact(value: object) -> str:
    """A text that differs for 1 and 1.0 and for 0.0 and -0.0, which are equal under ==."""
    return json.dumps(value, sort_keys=True)
