"""Data laws with zeros: the coefficient of log N in the error of a pair."""

from jaxtyping import Float
from torch import Tensor

from di4c.checks import check_number
from di4c.probabilities import as_probabilities


def log_coefficient(
    p_0: Float[Tensor, "first second"], rate_up: float, rate_down: float, horizon: float
) -> float:
    r"""Coefficient c in $N \cdot TV_N \sim c \ln N$ on the uniform grid, for two-state chains.

    If the data law has full support, c = 0 and $N \cdot TV_N$ converges. Otherwise c is T/2 times
    the 1-norm of a sum of signed measures. A state x contributes to the sum if it has no data mass
    and both of its neighbours $x^1, x^2$ (one coordinate flipped) have mass $p_1, p_2$. Its measure
    is $c_x (\hat\delta_{\bar x} + \hat\delta_x - \delta_{x^1} - \delta_{x^2})$ with
    $c_x = R_1 R_2 p_1 p_2 / (R_1 p_1 + R_2 p_2)$. Here $R_d$ is the rate of the flip of coordinate
    d into x, and $\bar x$ is x with both coordinates flipped. A hat denotes the law of $x_0$ given
    that state at t, as t -> 0.

    For $(1-m)\delta_{00} + m\,\delta_{11}$ and rates a (up) and b (down) the coefficient is
    $2 T m (1-m) a b\, |m b - (1-m) a| / ((1-m) a + m b)^2$.

    Args:
        p_0: data law, (2, 2).
        rate_up: rate of 0 -> 1.
        rate_down: rate of 1 -> 0.
        horizon: T.

    Raises:
        ValueError: If an argument is out of range, or p_0 is no law.
    """
    if p_0.shape != (2, 2):
        raise ValueError(f"p_0 must be a (2, 2) table; got shape {tuple(p_0.shape)}")
    check_number("rate_up", rate_up)
    check_number("rate_down", rate_down)
    check_number("horizon", horizon, "(0, inf)")
    p = as_probabilities("p_0", p_0.reshape(-1)).tolist()

    def inflow(x: int) -> tuple[float, float]:
        """Flow of data mass into x (two bits), by a flip of the first bit and of the second bit."""
        first = (rate_up if x & 2 else rate_down) * p[x ^ 2]
        return first, (rate_up if x & 1 else rate_down) * p[x ^ 1]

    measure = [0.0] * 4

    def add_reverse(x: int, amount: float) -> None:
        """Add the law of x_0 given x_t = x, as t -> 0, times the amount."""
        first, second = inflow(x)
        if p[x] > 0 or first + second == 0:  # a state that is never reached is carried over
            measure[x] += amount
        else:
            measure[x ^ 2] += amount * (first / (first + second))
            measure[x ^ 1] += amount * (second / (first + second))

    for x in range(4):
        first, second = inflow(x)
        if p[x] == 0 and first > 0 and second > 0:
            coefficient = first * (second / (first + second))
            add_reverse(x ^ 3, coefficient)
            add_reverse(x, coefficient)
            measure[x ^ 2] -= coefficient
            measure[x ^ 1] -= coefficient
    return horizon / 2 * sum(map(abs, measure))
