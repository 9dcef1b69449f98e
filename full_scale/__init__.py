"""Real teachers and students: backbones, recipes, training, evaluation and benchmarks."""

from full_scale.models.load import load_model as load_model
