"""Metrics of generated pictures and texts.

Formulas that need no network are exported here: Frechet distance, inception score, entropy,
Self-BLEU and intervals. Features and likelihoods come from `features` and `judge`, whose packages
are optional. The networks are arguments, never globals.
"""

from full_scale.evaluation.frechet import FeatureMoments as FeatureMoments
from full_scale.evaluation.frechet import frechet_distance as frechet_distance
from full_scale.evaluation.inception_score import inception_score as inception_score
from full_scale.evaluation.intervals import Interval as Interval
from full_scale.evaluation.intervals import bootstrap_interval as bootstrap_interval
from full_scale.evaluation.text import self_bleu as self_bleu
from full_scale.evaluation.text import sequence_entropy as sequence_entropy
