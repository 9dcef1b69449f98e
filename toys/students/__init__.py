"""Student networks, their losses, latents and training."""
