"""Training of students at full scale: configuration, assembly, loop, checkpoints."""
