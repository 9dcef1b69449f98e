"""Speed and memory of the losses, of a training step and of sampling: `python -m full_scale.bench`."""
