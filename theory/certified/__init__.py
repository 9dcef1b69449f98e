"""Theorem 1 for two bits, certified for all laws at once by interval arithmetic.

The other claims check laws one by one. Here branch and bound covers the simplex of all laws p_0 on
{0,1}^2 with boxes, and a ball arithmetic proves on each box that N TV_N stays below a bound. The
bound is at most 1 % above the value of a law that is given.

family.py      the noise processes
recurrence.py  the error of N product steps, in a form that intervals blur little
dual.py        balls for values and partial derivatives
search.py      finds laws and boxes; proves nothing
check.py       proves the bounds on the boxes; uses recurrence.py and dual.py only
bounds.py      the claims
"""
