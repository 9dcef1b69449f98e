"""Masked language models of the Hugging Face kind: opened, with a latent, and as networks."""
