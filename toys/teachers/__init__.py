"""Product teachers of known laws and the curves of their error against steps."""
