"""Product teachers of known laws, and the curves of their total variation against steps."""
