"""Kullback-Leibler divergences of few-step samplers: rates, limits and bounds."""
