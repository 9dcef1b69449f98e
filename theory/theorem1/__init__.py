"""Theorem 1: the error of N product steps is of order 1/N in total variation.

* `pairs/`: the error in closed form, for two coordinates and three kinds of noise.
* `upper_bound/`: the proof that TV_N = O(1/N), its constants, and learned denoisers.
* `lower_bound/`: the proof that TV_N >= c/N for two bits, and for every dependent law.
* `hypotheses/`: what fails without full support, a finite slope, or the marginals of the truth.

Lemma 1 is in `theory/lemma1/`, the limit of N TV_N in `theory/limits/`.
"""
