"""A laboratory for conjectures; what a conjecture file imports.

`python -m theory.lab CONJECTURE.py` searches for a counterexample.
"""

from theory.lab.arithmetic import exp as exp
from theory.lab.arithmetic import log as log
from theory.lab.arithmetic import maximum as maximum
from theory.lab.arithmetic import minimum as minimum
from theory.lab.arithmetic import sqrt as sqrt
from theory.lab.inputs import Grid as Grid
from theory.lab.inputs import Kernel as Kernel
from theory.lab.inputs import Law as Law
from theory.lab.inputs import Positive as Positive
from theory.lab.inputs import Product as Product
from theory.lab.inputs import Share as Share
from theory.lab.quantities import entropy as entropy
from theory.lab.quantities import independent as independent
from theory.lab.quantities import kl as kl
from theory.lab.quantities import marginal as marginal
from theory.lab.quantities import mean_log as mean_log
from theory.lab.quantities import mutual_information as mutual_information
from theory.lab.quantities import total_correlation as total_correlation
from theory.lab.quantities import total_variation as total_variation
from theory.lab.sampling import Noise as Noise
from theory.lab.sampling import error as error
from theory.lab.sampling import generate as generate
from theory.lab.sampling import limit as limit
from theory.lab.sampling import noised as noised
from theory.lab.sampling import product_kernels as product_kernels
from theory.lab.sampling import refined as refined
from theory.lab.sampling import uniform_grid as uniform_grid
from theory.lab.sampling import without as without
