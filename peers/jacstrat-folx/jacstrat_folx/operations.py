"""ATen operations in JAX's, and a program of them as a function of JAX.

What has no row here is refused by name. Imported in a Python without torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

Program = Mapping[str, Any]


def function(program: Program, goes: Sequence[bool]) -> Callable[..., Any]:
    """(constants, x (n,), *args) -> f at one point, as the program has it; `goes` says which arguments are the point's.

    Raises:
        NotImplementedError: The program has operations without a row; names them.
    """
    if unknown := sorted({node["op"] for node in program["nodes"]} - OPERATIONS.keys()):
        raise NotImplementedError(f"f has {', '.join(unknown)}, which have no form in JAX here")

    def f(constants: Mapping[str, Any], x: Any, *args: Any) -> Any:
        is_row = program["is_row"]
        slots: dict[int, Any] = {0: x[None] if is_row else x}
        slots |= {
            number: arg[None] if is_row and its else arg
            for number, (arg, its) in enumerate(zip(args, goes, strict=True), start=1)
        }

        def leaf(value: Any) -> Any:
            if isinstance(value, list):
                return [leaf(one) for one in value]
            if not isinstance(value, dict):
                return value
            ((kind, what),) = value.items()
            return _LEAVES[kind](what, slots, constants)

        for node in program["nodes"]:
            kwargs = {name: leaf(arg) for name, arg in node["kwargs"].items() if name not in _PLACES}
            out = OPERATIONS[node["op"]](*map(leaf, node["args"]), **kwargs)
            out = out if node["is_tuple"] else (out,)
            for slot, value in zip(node["outs"], out, strict=False):
                if slot is not None:
                    slots[slot] = lax.stop_gradient(value) if node["is_cut"] else value
        y = jnp.asarray(leaf(program["output"]))
        return y[0] if is_row else y

    return f


# Where a tensor is made, and how it lies there.
_PLACES = frozenset({"device", "layout", "pin_memory", "memory_format", "non_blocking"})
_LEAVES: Mapping[str, Callable[..., Any]] = {
    "slot": lambda place, slots, constants: slots[place],
    "array": lambda name, slots, constants: constants[name],
    "float": lambda text, slots, constants: float(text),
    "dtype": lambda name, slots, constants: jnp.dtype(name),
    "device": lambda _, slots, constants: None,
}


def _axes(dim: int | Sequence[int] | None) -> int | tuple[int, ...] | None:
    """Axes as JAX has them; an empty list of them is all."""
    return tuple(dim) or None if isinstance(dim, list) else dim


def _reduce(reduced: Callable[..., Any]) -> Callable[..., Any]:
    def operation(a: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
        return reduced(a if dtype is None else a.astype(dtype), axis=_axes(dim), keepdims=keepdim)

    return operation


def _alpha(operation: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    return lambda a, b, alpha=1: operation(a, b if alpha == 1 else alpha * b)


def _shape(a: Any, shape: Sequence[int]) -> Any:
    return a.reshape(tuple(shape))


def _expand(a: Any, shape: Sequence[int], implicit: bool = False) -> Any:
    lead = len(shape) - a.ndim
    full = [a.shape[axis - lead] if size == -1 else size for axis, size in enumerate(shape)]
    return jnp.broadcast_to(a, full)


def _slice(a: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Any:
    index: list[Any] = [slice(None)] * a.ndim
    index[dim] = slice(start, end, step)
    return a[tuple(index)]


def _select(a: Any, dim: int, number: int) -> Any:
    index: list[Any] = [slice(None)] * a.ndim
    index[dim] = number
    return a[tuple(index)]


def _select_backward(g: Any, shape: Sequence[int], dim: int, number: int) -> Any:
    index: list[Any] = [slice(None)] * len(shape)
    index[dim] = number
    return jnp.zeros(tuple(shape), g.dtype).at[tuple(index)].set(g)


def _diagonal(a: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    return jnp.diagonal(a, offset, dim1, dim2)


def _index_add(a: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Any:
    at = [slice(None)] * a.ndim
    at[dim] = index
    return a.at[tuple(at)].add(alpha * source)


def _pad(a: Any, pad: Sequence[int], value: float = 0) -> Any:
    # torch counts from the last axis; what is cut off has a negative width.
    widths = [(0, 0, 0)] * a.ndim
    for number in range(len(pad) // 2):
        widths[-1 - number] = (pad[2 * number], pad[2 * number + 1], 0)
    return lax.pad(a, jnp.asarray(value, a.dtype), widths)


def _roll(a: Any, shifts: Sequence[int], dims: Sequence[int]) -> Any:
    return jnp.roll(a, tuple(shifts), tuple(dims)) if dims else jnp.roll(a, shifts[0])


def _convolution(
    a: Any,
    weight: Any,
    bias: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Any:
    if transposed:
        raise NotImplementedError("f has a transposed convolution, which has no form in JAX here")
    y = lax.conv_general_dilated(
        a, weight, stride, [(one, one) for one in padding], rhs_dilation=dilation, feature_group_count=groups
    )
    return y if bias is None else y + bias.reshape(1, -1, *(1,) * (y.ndim - 2))


def _layer_norm(a: Any, shape: Sequence[int], weight: Any, bias: Any, eps: float) -> tuple[Any, Any, Any]:
    axes = tuple(range(-len(shape), 0))
    mean = a.mean(axes, keepdims=True)
    centred = a - mean
    scale = lax.rsqrt((centred * centred).mean(axes, keepdims=True) + eps)
    y = centred * scale
    y = y if weight is None else y * weight
    return y if bias is None else y + bias, mean, scale


def _gelu(a: Any, *, approximate: str = "none") -> Any:
    return jax.nn.gelu(a, approximate=approximate == "tanh")


def _power(a: Any, exponent: float) -> Any:
    # A whole exponent is a product, whose derivatives are right at 0, too.
    return lax.integer_pow(a, int(exponent)) if float(exponent).is_integer() else a**exponent


def _softplus(a: Any, beta: float = 1, threshold: float = 20) -> Any:
    return jnp.where(a * beta > threshold, a, jnp.logaddexp(a * beta, 0) / beta)


def _elu(a: Any, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Any:
    return scale * jnp.where(a > 0, a, alpha * jnp.expm1(input_scale * jnp.where(a > 0, 0, a)))


def _norm(a: Any, order: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    if order != 2:
        raise NotImplementedError(f"f has a norm of order {order:g}, which has no form in JAX here")
    return jnp.sqrt((a * a).sum(_axes(dim), keepdims=keepdim))


def _made(shape: Sequence[int], value: float, dtype: Any) -> Any:
    return jnp.full(tuple(shape), value, dtype or jnp.result_type(float))


def _like(value: float) -> Callable[..., Any]:
    return lambda a, *, dtype=None: jnp.full(a.shape, value, dtype or a.dtype)


_UNARY = {
    "abs": jnp.abs,
    "acos": jnp.arccos,
    "alias": lambda a: a,
    "asin": jnp.arcsin,
    "asinh": jnp.arcsinh,
    "atan": jnp.arctan,
    "atanh": jnp.arctanh,
    "clone": lambda a: a,
    "cos": jnp.cos,
    "cosh": jnp.cosh,
    "detach": lambda a: a,
    "erf": jax.scipy.special.erf,
    "exp": jnp.exp,
    "exp2": jnp.exp2,
    "expm1": jnp.expm1,
    "log": jnp.log,
    "log1p": jnp.log1p,
    "log2": jnp.log2,
    "log10": jnp.log10,
    "log_sigmoid_forward": lambda a: (jax.nn.log_sigmoid(a), a),
    "neg": jnp.negative,
    "reciprocal": lambda a: 1 / a,
    "relu": jax.nn.relu,
    "rsqrt": lax.rsqrt,
    "sgn": jnp.sign,
    "sigmoid": jax.nn.sigmoid,
    "sign": jnp.sign,
    "silu": jax.nn.silu,
    "sin": jnp.sin,
    "sinh": jnp.sinh,
    "sqrt": jnp.sqrt,
    "t": jnp.transpose,
    "tan": jnp.tan,
    "tanh": jnp.tanh,
}
_COMPARED = {"eq": jnp.equal, "ne": jnp.not_equal, "lt": jnp.less, "le": jnp.less_equal, "gt": jnp.greater}
_COMPARED |= {"ge": jnp.greater_equal}

OPERATIONS: Mapping[str, Callable[..., Any]] = {
    **{f"aten.{name}.default": operation for name, operation in _UNARY.items()},
    **{f"aten.{name}.{kind}": operation for name, operation in _COMPARED.items() for kind in ("Tensor", "Scalar")},
    **{f"aten.add.{kind}": _alpha(jnp.add) for kind in ("Tensor", "Scalar")},
    **{f"aten.sub.{kind}": _alpha(jnp.subtract) for kind in ("Tensor", "Scalar")},
    **{f"aten.rsub.{kind}": _alpha(lambda a, b: b - a) for kind in ("Tensor", "Scalar")},
    **{f"aten.mul.{kind}": jnp.multiply for kind in ("Tensor", "Scalar")},
    **{f"aten.div.{kind}": jnp.divide for kind in ("Tensor", "Scalar")},
    **{f"aten.remainder.{kind}": jnp.remainder for kind in ("Tensor", "Scalar")},
    "aten._log_softmax.default": lambda a, dim, half: jax.nn.log_softmax(a, dim),
    "aten._softmax.default": lambda a, dim, half: jax.nn.softmax(a, dim),
    "aten._to_copy.default": lambda a, dtype=None: a if dtype is None else a.astype(dtype),
    "aten._unsafe_view.default": _shape,
    "aten.addmm.default": lambda c, a, b, beta=1, alpha=1: (
        beta * c + alpha * (a @ b) if (beta, alpha) != (1, 1) else c + a @ b
    ),
    "aten.addmv.default": lambda c, a, b, beta=1, alpha=1: (
        beta * c + alpha * (a @ b) if (beta, alpha) != (1, 1) else c + a @ b
    ),
    "aten.amax.default": lambda a, dim=None, keepdim=False: jnp.max(a, _axes(dim), keepdims=keepdim),
    "aten.amin.default": lambda a, dim=None, keepdim=False: jnp.min(a, _axes(dim), keepdims=keepdim),
    "aten.arange.default": lambda end, dtype=None: jnp.arange(end, dtype=dtype),
    "aten.arange.start": lambda start, end, dtype=None: jnp.arange(start, end, dtype=dtype),
    "aten.arange.start_step": lambda start, end, step=1, dtype=None: jnp.arange(start, end, step, dtype),
    "aten.atan2.default": jnp.arctan2,
    "aten.baddbmm.default": lambda c, a, b, beta=1, alpha=1: beta * c + alpha * (a @ b),
    "aten.bmm.default": jnp.matmul,
    "aten.cat.default": lambda parts, dim=0: jnp.concatenate([one for one in parts if one.shape != (0,)], dim),
    "aten.clamp.default": lambda a, low=None, high=None: jnp.clip(a, low, high),
    "aten.clamp_min.default": lambda a, low: jnp.maximum(a, low),
    "aten.constant_pad_nd.default": _pad,
    "aten.convolution.default": _convolution,
    "aten.cumsum.default": lambda a, dim, dtype=None: jnp.cumsum(a, dim),
    "aten.diagonal.default": _diagonal,
    "aten.dot.default": jnp.dot,
    "aten.elu.default": _elu,
    "aten.expand.default": _expand,
    "aten.eye.default": lambda n, dtype=None: jnp.eye(n, dtype=dtype),
    "aten.flip.default": lambda a, dims: jnp.flip(a, tuple(dims)),
    "aten.full.default": lambda shape, value, dtype=None: _made(shape, value, dtype),
    "aten.full_like.default": lambda a, value, dtype=None: jnp.full(a.shape, value, dtype or a.dtype),
    "aten.gelu.default": _gelu,
    "aten.index_add.default": _index_add,
    "aten.index_select.default": lambda a, dim, index: jnp.take(a, index, dim),
    "aten.leaky_relu.default": lambda a, slope=0.01: jnp.where(a > 0, a, slope * a),
    "aten.linalg_vector_norm.default": _norm,
    "aten.logsumexp.default": lambda a, dim, keepdim=False: jax.nn.logsumexp(a, _axes(dim), keepdims=keepdim),
    "aten.maximum.default": jnp.maximum,
    "aten.mean.default": lambda a, dtype=None: jnp.mean(a),
    "aten.mean.dim": _reduce(jnp.mean),
    "aten.minimum.default": jnp.minimum,
    "aten.mm.default": jnp.matmul,
    "aten.mv.default": jnp.matmul,
    "aten.native_layer_norm.default": _layer_norm,
    "aten.new_zeros.default": lambda a, shape, dtype=None: jnp.zeros(tuple(shape), dtype or a.dtype),
    "aten.ones.default": lambda shape, dtype=None: _made(shape, 1, dtype),
    "aten.ones_like.default": _like(1),
    "aten.permute.default": lambda a, dims: jnp.transpose(a, tuple(dims)),
    "aten.pow.Tensor_Scalar": _power,
    "aten.pow.Tensor_Tensor": jnp.power,
    "aten.prod.default": lambda a, dtype=None: jnp.prod(a),
    "aten.prod.dim_int": lambda a, dim, keepdim=False, dtype=None: jnp.prod(a, dim, keepdims=keepdim),
    "aten.repeat.default": lambda a, times: jnp.tile(a, tuple(times)),
    "aten.roll.default": _roll,
    "aten.scalar_tensor.default": lambda value, dtype=None: _made((), value, dtype),
    "aten.select.int": _select,
    "aten.select_backward.default": _select_backward,
    "aten.slice.Tensor": _slice,
    "aten.softplus.default": _softplus,
    "aten.split.Tensor": lambda a, size, dim=0: jnp.split(a, range(size, a.shape[dim], size), dim),
    "aten.split_with_sizes.default": lambda a, sizes, dim=0: jnp.split(a, _ends(sizes), dim),
    "aten.squeeze.dim": lambda a, dim: jnp.squeeze(a, dim) if a.ndim and a.shape[dim] == 1 else a,
    "aten.squeeze.dims": lambda a, dims: jnp.squeeze(a, tuple(dim for dim in dims if a.shape[dim] == 1)),
    "aten.stack.default": lambda parts, dim=0: jnp.stack(parts, dim),
    "aten.sum.default": lambda a, dtype=None: jnp.sum(a),
    "aten.sum.dim_IntList": _reduce(jnp.sum),
    "aten.transpose.int": jnp.swapaxes,
    "aten.tril.default": jnp.tril,
    "aten.triu.default": jnp.triu,
    "aten.triu_indices.default": lambda rows, columns, offset=0, dtype=None: jnp.stack(
        jnp.triu_indices(rows, offset, columns)
    ),
    "aten.unbind.int": lambda a, dim=0: [_select(a, dim, number) for number in range(a.shape[dim])],
    "aten.unsqueeze.default": lambda a, dim: jnp.expand_dims(a, dim),
    "aten.view.default": _shape,
    "aten.where.self": jnp.where,
    "aten.zeros.default": lambda shape, dtype=None: _made(shape, 0, dtype),
    "aten.zeros_like.default": _like(0),
}


def _ends(sizes: Sequence[int]) -> list[int]:
    return [sum(sizes[: number + 1]) for number in range(len(sizes) - 1)]
