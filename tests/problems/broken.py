"""Functions that break a rule, each with the line that says so. Loaded from this file, by path, as a user's are.

In a reason, * stands for torch's own words, N for the number of a line in this file, FILE for its path.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from jacstrat import problem
from tests.strategies.custom_functions import CubeOnce


@dataclass(frozen=True)
class Broken:
    """A function of this file by its name, the reason of every row, and what it is called with.

    A reason that begins with FILE ends a run before the first row, unless it is found `later`, when f is made.
    """

    function: str
    reason: str
    operator: str = "divergence"
    n: int = 4
    batch: int = 5
    dtype: str = "float64"
    later: bool = False


# Not row-wise.
mixing_net = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 4))


def helper(x):
    return mixing_net.double()(x)


def mixes_by_a_helper(x):
    return 2 * helper(x)


def centred(x):
    return x - x.mean(0)


def softmax_over_points(x):
    return torch.softmax(x, 0)


def rolled(x):
    return x * x.roll(1, 0)


def counts_points(x):
    return x * x / x.shape[0]


def five_points(x):
    return x.view(5, 4).sin()


def one_point(x):
    return x.view(1, 4).sin()


def squeezed_points(x):
    return x.sin().squeeze(0).view(4)


# Random.
class Dropping(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))

    def forward(self, x):
        return self.body(x)


attention = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.3, batch_first=True).double()
recurrent = nn.LSTM(1, 4, num_layers=2, dropout=0.5, batch_first=True).double()


def drops_in_recurrence(x):
    return recurrent(x.unsqueeze(-1))[0][..., 0]


def drops(x):
    return nn.functional.dropout(x, 0.5)


def noisy(x):
    return x + torch.randn_like(x)


# In place.
def doubles(x):
    return x.mul_(2)


def pins_the_boundary(x):
    x[..., 0] = 0
    return x.sin()


def clamps(x):
    x.clamp_(min=-10)
    return x.sin()


def through_data(x):
    x.data += 1
    return x.sin()


def adds_to_what_exp_needs(x):
    y = x.exp()
    y += 1
    return y


# What is no tensor like x.
def a_list(x):
    return [x, x]


def a_dictionary(x):
    return {"y": x}


def nothing(x):
    x.sin()


def a_number(x):
    return x.sum().item()


def an_array(x):
    return np.sin(x.numpy())


def whole_numbers(x):
    return x.round().long()


def single_complex(x):
    return torch.fft.fft(x.float())


def single(x):
    return x.sin().float()


def elsewhere(x):
    return x.to("meta")


# Shapes.
def energy(x):
    return x.square().sum(-1)


def column(x):
    return x.square().sum(-1, keepdim=True)


def two_outputs(x):
    return x[:, :2].sin()


def loss(x):
    return x.square().mean()


def transposed(x):
    return x.T.sin()


def eight_inputs():
    return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 8))


net = eight_inputs()
weights = torch.arange(6.0, dtype=torch.float64)


class Eight(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = eight_inputs()

    def forward(self, x):
        return self.body(x)


def six_weights(x):
    return weights * x


def normalised(x):
    return nn.functional.layer_norm(x, (6,))


def two_particles(x):
    return x.view(-1, 2, 3).sin().flatten(1)


def sixth_coordinate(x):
    return x * x[:, [5]]


# Arguments.
def of_time(x, t):
    return t * x


class OfTime(nn.Module):
    def forward(self, x, t):
        return t * x


def makes_of_time(n):
    return lambda x, t: t * x


def one_time(n, batch, rng):
    return (rng.uniform(0, 1, (batch, 1)),)


@problem(arguments=one_time)
def without_time(x):
    return x


@problem(arguments=one_time)
def mean_time(x, t):
    return t.mean() * x


@problem(arguments=one_time)
def mixes_times(x, t):
    return x * t.roll(1, 0)


def of_nothing():
    return net


# Dtype and device.
single_weights = torch.eye(4)
meta_weights = torch.eye(4, dtype=torch.float64, device="meta")


def with_single_weights(x):
    return x @ single_weights


def with_weights_elsewhere(x):
    return x * meta_weights[0]


# No derivative.
def detached(x):
    return x.detach().sin()


def by_numpy(x):
    return torch.from_numpy(np.sin(x.detach().numpy()))


def by_numpy_itself(x):
    return torch.from_numpy(np.sin(x.numpy()))


def untracked(x):
    with torch.no_grad():
        return x.sin()


def highest(x):
    return torch.nn.functional.one_hot(x.argmax(-1), x.shape[-1]).to(x.dtype)


def by_math(x):
    return torch.stack([x[:, i] * math.sin(x[:, i]) for i in range(x.shape[-1])], -1)


def branches(x):
    return x if x > 0 else -x


def once(x):
    return CubeOnce.apply(x).sum(-1)


def untracked_gradient(x):
    with torch.enable_grad():
        x = x if x.requires_grad else x.detach().requires_grad_()
        (g,) = torch.autograd.grad(x.pow(3).sum(), x)
    return g


# Values and exceptions.
def logarithm(x):
    return torch.log(x)


def raises(x):
    raise ValueError("mine,\nover two lines")


def asserts(x):
    assert x.shape[-1] > 10
    return x


def forgets(x):
    return weight * x  # noqa: F821


# What makes a function.
class Plain:
    def __call__(self, x):
        return x


class Needy(nn.Module):
    def __init__(self, n, width):
        super().__init__()


def fails(n):
    return nn.Linear(n, n // 0)


def makes_nothing(n):
    nn.Linear(n, n)


def makes_a_class(n):
    return nn.Tanh


MOVED = "row 0 of f(x) changes when row 1 of x does; "
ALONE = "each row must be f of that row alone: look for a sum, mean or softmax over dim 0, or for x.shape[0]"
DIFFER = "two evaluations of f at the same x differ; "
DRAWS = "draw no random numbers in it; functional.dropout has training=True unless told"
MIXES = "is in training mode, where it mixes the rows of x: call .eval() on it"
COPY = "f changes x in place; let it work on a copy, x = x.clone()"
X_ALONE = "f must take x alone; bind what else it needs in a function of x, or in a factory whose one parameter is n "
GIVEN = (
    "say what they are, @problem(arguments=lambda n, batch, rng: (rng.uniform(0, 1, (batch, 1)),)), "
    "or bind them in a function of x alone"
)
DTYPE = "f holds tensors of another dtype than x, float64; name the nn.Module, which is copied to it, or give --dtype "
DEVICE = "f holds tensors on another device than x; make them on x.device, or name the nn.Module, which is moved "
LOST = (
    "f(x) changes with x, and no derivative leads back to x; look for .detach(), .item(), .numpy(), "
    "torch.no_grad(), autograd.grad without create_graph, or whole numbers"
)
NUMPY = "f leaves torch for numpy, which has no derivative; write it with torch's functions "
NUMBER = "f makes a Python number of a tensor; write it with torch's functions, torch.sin and not math.sin "
LOST_TWICE = (
    "the gradient of f changes with x, and no second derivative leads back to x; look for "
    "@once_differentiable, and for .detach() or torch.no_grad() in a backward"
)

BROKEN = (
    Broken("mixing_net", f"{MOVED}layer 1 (BatchNorm1d) {MIXES}"),
    Broken(
        "mixing_net",
        "layer 1 (BatchNorm1d) is in training mode, where it mixes the rows of x; call .eval() on it",
        batch=1,
    ),
    Broken("mixes_by_a_helper", f"{MOVED}mixing_net.1 (BatchNorm1d) {MIXES}"),
    Broken("centred", f"{MOVED}{ALONE}"),
    Broken("centred", f"{MOVED}{ALONE}", batch=1),
    Broken("centred", f"{MOVED}{ALONE}", batch=2, dtype="bfloat16"),
    Broken("softmax_over_points", f"{MOVED}{ALONE}"),
    Broken("rolled", f"{MOVED}{ALONE}"),
    Broken("counts_points", f"row 0 of f(x) is another with 5 rows than with 2; {ALONE}"),
    Broken(
        "five_points", "f takes 5 rows and not 2; it must take any number of them: RuntimeError: * (broken.py, line N)"
    ),
    Broken(
        "one_point",
        "f takes 1 row and not 2; it must take any number of them: RuntimeError: * (broken.py, line N)",
        batch=1,
    ),
    Broken("squeezed_points", "the field must map (1, 4) to (1, 4), got (4,); give it the shape of x", batch=1),
    Broken("Dropping", f"{DIFFER}layer body.1 (Dropout) is in training mode: call .eval() on it"),
    Broken("attention", f"{DIFFER}layer self_attn (MultiheadAttention) is in training mode: call .eval() on it"),
    Broken("drops_in_recurrence", f"{DIFFER}recurrent (LSTM) is in training mode: call .eval() on it"),
    Broken("drops", f"{DIFFER}{DRAWS}"),
    Broken("noisy", f"{DIFFER}{DRAWS}", batch=1),
    Broken("doubles", COPY),
    Broken("pins_the_boundary", COPY),
    Broken("clamps", COPY),
    Broken("through_data", COPY),
    Broken(
        "adds_to_what_exp_needs",
        "f changes in place what its derivative needs; write y = y + 1, not y += 1 (RuntimeError: *)",
    ),
    Broken("a_list", "the field must return one tensor, got list; return its one output"),
    Broken("a_dictionary", "the field must return one tensor, got dict; return its one output"),
    Broken("nothing", "the field must return one tensor, got NoneType; does it end with return?"),
    Broken(
        "a_number",
        "the scalar must return one tensor, got float; return a tensor, without .item()",
        operator="laplacian",
    ),
    Broken(
        "an_array",
        "the field must return one tensor, got ndarray; write it with torch's functions, which have derivatives",
    ),
    Broken("whole_numbers", "f(x) is int64, which has no derivative; return floating-point numbers"),
    Broken("single_complex", "f(x) is complex64, and x float64; make its constants in x.dtype, or give --dtype"),
    Broken("single", "f(x) is float32, and x float64; make its constants in x.dtype, or give --dtype"),
    Broken("elsewhere", "f(x) is on meta, and x on cpu; return it where x is"),
    Broken("energy", "the field must map (5, 4) to (5, 4), got (5,); that is a scalar: give -o laplacian"),
    Broken(
        "column",
        "the field must map (5, 4) to (5, 4), got (5, 1); that is a scalar: give -o laplacian",
    ),
    Broken(
        "column",
        "the field must map (5, 4) to (5, 4), got (5, 1); that is a scalar: give -o laplacian",
        operator="divergence:coordinates=0+1",
    ),
    Broken(
        "two_outputs",
        "the field must map (5, 4) to (5, 4), got (5, 2); "
        "with more or fewer outputs give those to add up, -o divergence:coordinates=0+1",
    ),
    Broken(
        "two_outputs",
        "the field must map (5, 4) to (5, 4), got (5, 2); it needs an output for each of the coordinates 0+1+2",
        operator="divergence:coordinates=0+1+2",
    ),
    Broken(
        "loss",
        "the scalar must map (5, 4) to (5,), got (); sum and squeeze over the last axis only, .sum(-1), .squeeze(-1)",
        operator="laplacian",
    ),
    Broken("transposed", "the field must map (5, 4) to (5, 4), got (4, 5); transpose it, .T"),
    Broken("net", "f takes n = 8, and x has n = 4; give -n 8 (RuntimeError: *)"),
    Broken("Eight", "f takes n = 8, and x has n = 4; give -n 8 (broken.py, line N: RuntimeError: *)"),
    Broken("six_weights", "f takes n = 6, and x has n = 4; give -n 6 (broken.py, line N: RuntimeError: *)"),
    Broken("normalised", "f takes n = 6, and x has n = 4; give -n 6 (broken.py, line N: RuntimeError: *)"),
    Broken("two_particles", "f takes n = 6, and x has n = 4; give -n 6 (broken.py, line N: RuntimeError: *)"),
    Broken("sixth_coordinate", "f takes n = 6, and x has n = 4; give -n 6 (broken.py, line N: IndexError: *)"),
    Broken("of_time", f"FILE:of_time takes t beside x: {GIVEN}"),
    Broken("OfTime", f"FILE:OfTime takes t beside x: {GIVEN}", later=True),
    Broken("makes_of_time", f"FILE:makes_of_time takes t beside x: {GIVEN}", later=True),
    Broken(
        "without_time",
        f"{X_ALONE}(TypeError: without_time() takes 1 positional argument but 2 were given)".replace(
            "x alone", "x and 1 argument, as @problem(arguments=...) gives"
        ),
    ),
    Broken("mean_time", f"{MOVED}{ALONE}"),
    Broken("mean_time", f"row 0 of f(x) is another with 2 rows than with 3; {ALONE}", batch=2),
    Broken("mixes_times", f"{MOVED}{ALONE}"),
    Broken("of_nothing", f"{X_ALONE}(TypeError: of_nothing() takes 0 positional arguments but 1 was given)"),
    Broken("with_single_weights", f"{DTYPE}(broken.py, line N: RuntimeError: *)"),
    Broken("with_weights_elsewhere", f"{DEVICE}(broken.py, line N: RuntimeError: *)"),
    Broken("detached", LOST),
    Broken("by_numpy", LOST),
    Broken("by_numpy_itself", f"{NUMPY}(broken.py, line N: RuntimeError: *)"),
    Broken("untracked", LOST, batch=1),
    Broken("highest", LOST),
    Broken(
        "by_math",
        f"{NUMBER}(broken.py, line N: ValueError: only one element tensors can be converted to Python scalars)",
    ),
    Broken(
        "branches",
        "f asks whether a whole batch is true; choose row by row, with torch.where "
        "(broken.py, line N: RuntimeError: *)",
    ),
    Broken("once", LOST_TWICE, operator="laplacian"),
    Broken("untracked_gradient", LOST),
    Broken(
        "logarithm",
        "f(x) is nan in 4 of 5 rows, first in row 1; is x in its domain? give points with @problem(points=...)",
    ),
    Broken("raises", "ValueError: mine, over two lines (broken.py, line N)"),
    Broken("asserts", "AssertionError: no message (broken.py, line N)"),
    Broken("forgets", "NameError: name 'weight' is not defined (broken.py, line N)"),
    Broken("Plain", "FILE:Plain is a class, and no nn.Module; name an instance of it, or a function of x"),
    Broken(
        "Needy", "FILE:Needy needs width to be made; name an instance, or a factory: def make(n): return Needy(...)"
    ),
    Broken("fails", "the factory FILE:fails fails at n = 4: ZeroDivisionError: integer division or modulo by zero"),
    Broken(
        "makes_nothing",
        "the factory FILE:makes_nothing gives a NoneType at n = 4; let it return a row-wise function or an nn.Module",
    ),
    Broken(
        "makes_a_class",
        "the factory FILE:makes_a_class gives a type at n = 4; let it return a row-wise function or an nn.Module",
    ),
)


# Sound functions, with an operation that some strategies cannot pass.
class OldStyle(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0].cos()


class Bare(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return x.sin()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0].cos()


class Generated(Bare):
    generate_vmap_rule = True


def old_style(x):
    return OldStyle.apply(x)


def bare(x):
    return Bare.apply(x)


def generated(x):
    return Generated.apply(x)


def distances(x):
    points = x.unsqueeze(-1)
    return torch.cdist(points, points).sum(-1)


def total_distance(x):
    return distances(x).sum(-1)


def attends(x):
    q = x.reshape(-1, 1, 2, 2)
    return nn.functional.scaled_dot_product_attention(q, q, q).reshape(x.shape)


def fills(x):
    y = torch.zeros(x.shape, dtype=x.dtype)
    y[..., :-1] = x[..., 1:] * x[..., :-1]
    return y


def signs(x):
    return x * x if (x.detach() > -10).all() else -x


def counts(x):
    return x * torch.nonzero(x).shape[1]


def force(x):
    with torch.enable_grad():
        x.requires_grad_()
        (g,) = torch.autograd.grad(x.cos().sum(), x, create_graph=True)
    return -g


def checkpointed(x):
    return torch.utils.checkpoint.checkpoint(torch.sin, x, use_reentrant=False)


NUMBER_ASKED = "vmap: f asks a tensor for its number, by .item() or an if, which has no batching rule; use torch.where"
WRITES = (
    "vmap: inplace arithmetic writes into a tensor that does not depend on x, in f or in torch; "
    "use torch.stack or torch.cat"
)
CONTEXT = "autograd.Function OldStyle has no setup_context, without which torch.func cannot pass it"
VMAP = "autograd.Function Bare has no vmap rule; set generate_vmap_rule = True in it"
REQUIRES = "f calls requires_grad_(), which torch.func refuses; use torch.func.grad"
ATTENTION = "_scaled_dot_product_flash_attention_for_cpu has no forward-mode rule in torch"
HOOKS = "a checkpoint, in f or around the call, saves by hooks, which torch.func refuses"

# By function, the strategies that it is refused by and why; every other exact one of a field is `ok`.
REFUSED = {
    "old_style": dict.fromkeys(("vmap", "jvp", "jacrev", "jacfwd"), CONTEXT),
    "bare": {"jvp": "autograd.Function Bare has no jvp, the rule of forward mode", "jacrev": VMAP, "jacfwd": VMAP},
    "generated": dict.fromkeys(("jvp", "jacfwd"), "autograd.Function Generated has no jvp, the rule of forward mode"),
    "distances": dict.fromkeys(("jvp", "jacfwd"), "_cdist_forward has no forward-mode rule in torch"),
    "attends": {},
    "fills": dict.fromkeys(("jacrev", "jacfwd"), WRITES),
    "signs": dict.fromkeys(("jacrev", "jacfwd"), NUMBER_ASKED),
    "counts": dict.fromkeys(("jacrev", "jacfwd"), "vmap: aten::nonzero has a result whose shape depends on values"),
    "force": dict.fromkeys(("vmap", "jvp", "jacrev", "jacfwd"), REQUIRES),
    "checkpointed": dict.fromkeys(("vmap", "jacrev"), HOOKS),
}
