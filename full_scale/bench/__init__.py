"""Speed and memory of losses, training steps and sampling: `python -m full_scale.bench`."""
