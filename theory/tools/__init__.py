"""What claims share: laws, exact arithmetic, enclosures, extrapolation."""
