"""What claims share: laws, exact arithmetic, rigorous error bounds, extrapolation, samplers."""
