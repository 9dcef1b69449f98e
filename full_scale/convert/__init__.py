"""Published checkpoints to model files, without executing anything they hold."""
