"""Every claim about few-step discrete diffusion, checked exactly, with its test beside it."""
