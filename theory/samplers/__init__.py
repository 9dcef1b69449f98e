"""Samplers beyond the paper: Kullback-Leibler rates, unmasking orders, rectified pairs."""
