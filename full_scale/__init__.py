"""Real teachers and students: backbones, recipes, training, evaluation and benchmarks."""
