"""Proposition 1: mixtures of product laws are universal; what a latent can carry."""
