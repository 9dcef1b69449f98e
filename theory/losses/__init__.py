"""The losses: surrogate, control variate, bias of a finite batch of latents, what they can see."""
