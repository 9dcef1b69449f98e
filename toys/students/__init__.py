"""Student networks: their losses, latents, training, and the exact laws that they generate."""
