"""A random program from a seed: a function of points with its parameters, and a text that shows what it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tests.compositions.heads import FIELD_HEADS, SCALAR_HEADS
from tests.compositions.operations import MOST, OPERATIONS, Draw, Event, Operation, numel
from tests.compositions.source import Source, rounded

# Values beyond this are scaled down, so that rounding is no issue.
LARGE = 3.0
# Events of one axis, which all programs begin with.
PLAIN = tuple((n,) for n in range(1, 7))
# Operations that make several axes of one, to begin with now and then: much of torch is about matrices and sequences.
OPENINGS = ("in_pairs", "in_halves", "expand", "broadcast", "stack", "outer", "diag_embed", "unsqueeze")
# Seeds that follow each other feature operations of different kinds; a prime, so that every one has its turn.
STRIDE = 101


@dataclass(frozen=True, eq=False)
class Program:
    """A function, and what it is for.

    Fields:
        seed: What it was drawn from.
        operator: What is to be computed of it.
        function: (B, n) -> (B,) for the Laplacian, else (B, n) -> (B, n).
        x: Points, (B, n), float64.
        elsewhere: Other points of the same shape.
        parameters: The leaves that the function reads.
        operations: Names of the operations in it, in order, the head last.
        special: The points have zeros and ties.
        cut: Autograd does not follow all that it computes.
        doubtful: Derivatives of the third order by torch are known to be off.
        text: Definitions, values and the function, as source.
    """

    seed: int
    operator: str
    function: Callable[[Tensor], Tensor]
    x: Tensor
    elsewhere: Tensor
    parameters: tuple[Tensor, ...]
    operations: tuple[str, ...]
    special: bool
    cut: bool
    doubtful: bool
    text: str


def program(seed: int) -> Program:
    """The program of a seed, the same on every machine."""
    draw = Draw(seed)
    operator = draw.random.choices(["laplacian", "divergence", "jacobian_diagonal"], [5, 3, 2])[0]
    # Each operation has its turn, wherever it fits.
    featured = list(OPERATIONS.values())[seed * STRIDE % len(OPERATIONS)]
    fitting = [n for (n,) in PLAIN if featured.fits((n,))]
    n = draw.choice(*fitting or range(2, 7))
    x, special = _points(draw, 40 if draw.chance(0.06) else draw.whole(1, 5), n)
    # As large as x, so that values stay tame there too.
    elsewhere = 0.7 * x.flip(0).roll(1, -1) + 0.24 * draw.constant(*x.shape)
    composer = _Composer(draw, x, featured)
    for _ in range(draw.whole(2, 6)):
        composer.step()
    composer.end(operator)
    source = composer.source
    title = f"# seed {seed}: {operator} at x {tuple(x.shape)} {special}".rstrip()
    return Program(
        seed=seed,
        operator=operator,
        function=source.function(seed),
        x=x,
        elsewhere=elsewhere,
        parameters=source.parameters,
        operations=tuple(one.name for one in source.used),
        special=special in ("with zeros and ties", "expanded"),
        cut=any(one.cut for one in source.used),
        doubtful=any(one.doubtful for one in source.used),
        text=f"{title}\nx = torch.tensor({rounded(x[:5].tolist())})\n{source.text()}",
    )


def _points(draw: Draw, B: int, n: int) -> tuple[Tensor, str]:
    """Points, and what is special about them, if anything: zeros and ties, or strides that are not usual."""
    x = 0.8 * draw.constant(B, n)
    if draw.chance(0.15):
        return (2 * x).round() / 2, "with zeros and ties"
    if draw.chance(0.05):
        return x.T.contiguous().T, "transposed"
    if draw.chance(0.02):
        return x[:, :1].expand(B, n), "expanded"
    return x, ""


class _Composer:
    """Writes a program, and runs what there is of it, so that the next operation knows what it gets.

    Attributes:
        source: What was written.
    """

    def __init__(self, draw: Draw, x: Tensor, featured: Operation) -> None:
        self.source = Source()
        self.source.lines.append("y0 = y = x")
        self._draw, self._featured, self._x, self._y = draw, featured, x, x
        # Values by name, for residual connections.
        self._earlier = {"y0": x}
        self._local = featured.local and draw.chance(0.5)
        self._opening = not self._local and draw.chance(0.3 if featured.fits(self._event) else 0.9)

    @property
    def _event(self) -> Event:
        return tuple(self._y.shape[1:])

    def step(self) -> None:
        """One more operation, whose result is finite and not too large, and maybe a residual connection."""
        while True:
            operation = self._pick()
            drawn = operation.draw(self._draw, self._event)
            with torch.no_grad():
                y = operation.function(self._y, **drawn)
            if y.isfinite().all() and numel(y.shape[1:]) <= MOST:
                break
        self._opening = False
        self.source.call("y", operation, ["y"], drawn)
        self._take(y.detach())
        self._residual()
        name = f"y{len(self._earlier)}"
        self.source.lines.append(f"{name} = y")
        self._earlier[name] = self._y

    def end(self, operator: str) -> None:
        """The head, and away with names that say nothing since no residual connection asks for them."""
        n = self._x.shape[-1]
        heads = [
            head
            for head in (SCALAR_HEADS if operator == "laplacian" else FIELD_HEADS)
            if head.fits(self._event, n) and (head.local or not self._local)
        ]
        head = self._draw.choice(*heads)
        self.source.call("y", head, ["y", "x"], head.draw(self._draw, self._event, n))
        lines = self.source.lines
        asked = {line.rsplit(" ", 1)[-1] for line in lines}
        self.source.lines = [line for line in lines if not line.endswith(" = y") or line.split(" ", 1)[0] in asked]

    def _pick(self) -> Operation:
        """An operation that takes the event; one that few events please is taken the rather."""
        event, draw = self._event, self._draw
        if self._opening and (openings := [OPERATIONS[name] for name in OPENINGS if OPERATIONS[name].fits(event)]):
            return draw.choice(*openings)
        if self._featured not in self.source.used and self._featured.fits(event) and draw.chance(0.7):
            return self._featured
        fitting = [one for one in OPERATIONS.values() if one.fits(event) and (one.local or not self._local)]
        weights = [1 / (1 + sum(one.fits(plain) for plain in PLAIN)) for one in fitting]
        return draw.random.choices(fitting, weights)[0]

    def _take(self, y: Tensor) -> None:
        """Go on from y, scaled down where it is large."""
        size = float(y.abs().max())
        if size > LARGE:
            factor = round(LARGE / size, 3)
            self.source.lines.append(f"y = {factor} * y")
            y = factor * y
        self._y = y

    def _residual(self) -> None:
        """Sometimes a connection from an earlier value of the same shape."""
        names = [name for name, value in self._earlier.items() if value.shape == self._y.shape]
        if not names or not self._draw.chance(0.3):
            return
        name, sign = self._draw.choice(*names), self._draw.choice("+", "*", "-")
        self.source.lines.append(f"y = y {sign} {name}")
        y, before = self._y, self._earlier[name]
        self._take(y + before if sign == "+" else y * before if sign == "*" else y - before)
