"""One parallel draw of several positions: when it is right, and how far it errs."""
