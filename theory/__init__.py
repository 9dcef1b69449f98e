"""Every claim of the theory of few-step discrete diffusion, checked exactly: one file a claim."""
