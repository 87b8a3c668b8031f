"""What other PyTorch projects do for a divergence or a Laplacian, in this process: recipes and estimators."""

from jacstrat_recipes.estimators import Curvlinops, Ffjord
from jacstrat_recipes.recipes import Deepxde, Functorch

__all__ = ["Curvlinops", "Deepxde", "Ffjord", "Functorch"]
