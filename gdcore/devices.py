"""Arrays of other libraries, on whatever device, as NumPy's functions and kernels take them.

A `DeviceArray` wraps an array of the array API standard (PyTorch, CuPy, array-api-strict) and
answers NumPy's protocols (NEP 13 and 18) in that library's own functions. So the loop, optimizers,
penalties and losses run as they are written, and the NumPy twins of the kernels are their twins
for devices as well. Nothing goes to the host unasked: `__array__` refuses.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

LIBRARIES = ("torch", "cupy", "array_api_strict")  # whose arrays can be written to
UFUNCS = {  # NumPy's name: that of the standard
    "absolute": "abs", "true_divide": "divide", "power": "pow", "invert": "bitwise_invert",
    "arctan": "atan", "conjugate": "conj",
}  # fmt: skip
TRUTHS = {"bitwise_and": "logical_and", "bitwise_or": "logical_or", "invert": "logical_not",
          "bitwise_invert": "logical_not"}  # fmt: skip


class Flags:
    """What a kernel asks of an array's memory."""

    c_contiguous = aligned = writeable = True


class DeviceArray(NDArrayOperatorsMixin):
    """An array of another library, which NumPy's functions take; results are of its kind.

    Parameters
    ----------
    array : torch.Tensor, cupy.ndarray or another array of the standard
    """

    flags = Flags()
    __array_priority__ = 100

    def __init__(self, array: Any) -> None:
        if getattr(array, "requires_grad", False):
            array = array.detach()  # or each step would be kept for a way back
        self.array, self.xp = array, _namespace(array)

    def __reduce__(self) -> Any:
        return DeviceArray, (self.array,)  # the library's module is found again

    @property
    def shape(self) -> tuple[int, ...]:
        """As of NumPy."""
        return tuple(self.array.shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.array.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def dtype(self) -> Any:
        """NumPy's name for the type of the elements."""
        return np.dtype(str(self.array.dtype).rpartition(".")[2])

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return int(self.dtype.itemsize)

    @property
    def nbytes(self) -> int:
        """Bytes of all."""
        return self.size * self.itemsize

    @property
    def device(self) -> Any:
        """Where it is."""
        from array_api_compat import device

        return device(self.array)

    @property
    def T(self) -> "DeviceArray":
        """Axes turned round."""
        turned = self.array if self.ndim < 2 else self.xp.matrix_transpose(self.array)
        return DeviceArray(turned)

    def __len__(self) -> int:
        return int(self.array.shape[0])

    def __iter__(self) -> Iterator["DeviceArray"]:
        return (self[i] for i in range(len(self)))

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            "An array on a device goes to NumPy only by numpy(). Say so where you want it."
        )

    def numpy(self) -> Any:
        """A copy in the host's memory."""
        array = self.array
        for name in ("detach", "cpu", "get"):  # two of torch's, and CuPy's
            array = getattr(array, name, lambda kept=array: kept)()
        if hasattr(array, "to_device") and not isinstance(array, np.ndarray):
            array = array.to_device(self.xp.__array_namespace_info__().default_device())
        return np.asarray(array)

    def like(self, values: Any, dtype: Any = None) -> "DeviceArray":
        """Numbers of the host, here; nothing where they are here already."""
        if isinstance(values, DeviceArray):
            return values if dtype is None else values.astype(dtype)
        values = np.asarray(values, dtype)
        array = self.xp.asarray(
            values.tolist() if values.ndim == 0 else values, **self._kind(values.dtype)
        )
        return DeviceArray(array)

    def _kind(self, dtype: Any) -> dict[str, Any]:
        return {"dtype": getattr(self.xp, np.dtype(dtype).name), "device": self.device}

    def astype(self, dtype: Any, copy: bool = True) -> "DeviceArray":
        """A copy of another type."""
        if np.dtype(dtype) == self.dtype and not copy:
            return self
        return DeviceArray(self.xp.astype(self.array, self._kind(dtype)["dtype"]))

    def copy(self) -> "DeviceArray":
        """A copy."""
        return DeviceArray(self.xp.asarray(self.array, copy=True))

    def reshape(self, *shape: Any) -> "DeviceArray":
        """A view of another shape, where the library has one."""
        given = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple) else shape
        return DeviceArray(self.xp.reshape(self.array, tuple(map(int, given))))

    def ravel(self) -> "DeviceArray":
        """The same as a vector."""
        return self.reshape(-1)

    def __getitem__(self, key: Any) -> "DeviceArray":
        if isinstance(key, (DeviceArray, np.ndarray)) and key.dtype != bool:
            return DeviceArray(self.xp.take(self.array, self.like(key).array, axis=0))
        return DeviceArray(self.array[self._key(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(value, (DeviceArray, np.ndarray)):
            value = self.like(value).astype(self.dtype, copy=False).array
        elif isinstance(value, np.generic):
            value = value.item()
        self.array[self._key(key)] = value

    def _key(self, key: Any) -> Any:
        """As the standard wants it: one place for each axis, or an ellipsis for the rest."""
        if key is Ellipsis or getattr(getattr(key, "dtype", None), "kind", "") == "b":
            return self._part(key, 0)
        known, axis = [], 0
        for each in key if isinstance(key, tuple) else (key,):
            known.append(self._part(each, axis))
            axis += each is not None
        rest = axis < self.ndim and Ellipsis not in [each for each in known if each is Ellipsis]
        return (*known, Ellipsis) if rest else tuple(known)

    def _part(self, key: Any, axis: int) -> Any:
        if isinstance(key, slice):
            return slice(*key.indices(self.shape[axis]))
        if isinstance(key, np.ndarray):
            return self.like(key).array
        if isinstance(key, np.integer):
            return int(key)
        return key.array if isinstance(key, DeviceArray) else key

    def item(self) -> Any:
        """The one number."""
        return self.array.item() if hasattr(self.array, "item") else float(self)

    def tolist(self) -> Any:
        """Python numbers."""
        return self.numpy().tolist()

    def __float__(self) -> float:
        return float(self.array)

    def __bool__(self) -> bool:
        return bool(self.array)

    def _reduced(self, name: str, axis: Any, keepdims: bool, **more: Any) -> "DeviceArray":
        array = self.array
        if name in ("sum", "mean", "max", "min") and self.dtype == bool:
            array = self.xp.astype(array, self.xp.int64)
        return DeviceArray(getattr(self.xp, name)(array, axis=axis, keepdims=keepdims, **more))

    def sum(self, axis: Any = None, keepdims: bool = False, **_: Any) -> "DeviceArray":
        """Σ."""
        return self._reduced("sum", axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False, **_: Any) -> "DeviceArray":
        """Σ/n."""
        return self._reduced("mean", axis, keepdims)

    def max(self, axis: Any = None, keepdims: bool = False, initial: Any = None) -> "DeviceArray":
        """The largest."""
        if initial is not None and not self.size:
            return self.like(float(initial), self.dtype)
        return self._reduced("max", axis, keepdims)

    def min(self, axis: Any = None, keepdims: bool = False, initial: Any = None) -> "DeviceArray":
        """The smallest."""
        if initial is not None and not self.size:
            return self.like(float(initial), self.dtype)
        return self._reduced("min", axis, keepdims)

    def any(self, axis: Any = None, keepdims: bool = False) -> "DeviceArray":
        """Whether one is not zero."""
        return self._reduced("any", axis, keepdims)

    def all(self, axis: Any = None, keepdims: bool = False) -> "DeviceArray":
        """Whether none is zero."""
        return self._reduced("all", axis, keepdims)

    def argmax(self, axis: Any = None) -> "DeviceArray":
        """Where the largest is."""
        return DeviceArray(self.xp.argmax(self.array, axis=axis))

    def __repr__(self) -> str:
        return f"DeviceArray({self.array!r})"

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **given: Any) -> Any:
        if method != "__call__":
            return NotImplemented
        out, where = given.pop("out", None), given.pop("where", True)
        name = UFUNCS.get(ufunc.__name__, ufunc.__name__)
        operands = self._together(inputs)
        if name in TRUTHS and operands[0].dtype == bool:
            name = TRUTHS[name]
        if name == "clip":
            found = _clipped(*operands)
        elif name in ("fmax", "fmin"):
            found = _but_nan(self.xp, name, *operands)
        else:
            found = getattr(self.xp, name)(*(each.array for each in operands))
        if out is None:
            return DeviceArray(found)
        (room,) = out
        if where is not True:
            found = self.xp.where(self.like(where).array, self._cast(found, room), room.array)
        room[...] = DeviceArray(found)
        return room

    def _cast(self, array: Any, room: "DeviceArray") -> Any:
        return self.xp.astype(array, room.array.dtype)

    def _together(self, inputs: Sequence[Any]) -> list["DeviceArray"]:
        """The operands here, in the type that NumPy would give them."""
        kinds = [each if isinstance(each, (bool, int, float)) else each.dtype for each in inputs]
        common = np.result_type(*kinds)
        return [
            each if isinstance(each, DeviceArray) and each.dtype == common
            else self.like(each, common) for each in inputs
        ]  # fmt: skip

    def __array_function__(self, function: Any, types: Any, args: Any, given: Any) -> Any:
        if function in MADE:  # as numpy.zeros(shape, like=self)
            return self._made(MADE[function], *args, **given)
        known: Callable[..., Any] | None = FUNCTIONS.get(function)
        return NotImplemented if known is None else known(*args, **given)

    def _made(self, name: str, shape: Any, *given: Any, dtype: Any = None, **_: Any) -> Any:
        value, given = (given[:1], given[1:]) if name == "full" else ((), given)
        kind = self._kind((*given, dtype)[0] or self.dtype)
        shape = tuple(map(int, np.atleast_1d(shape)))
        return DeviceArray(getattr(self.xp, name)(shape, *value, **kind))


def _clipped(a: DeviceArray, low: DeviceArray, high: DeviceArray) -> Any:
    return a.xp.minimum(a.xp.maximum(a.array, low.array), high.array)


def _but_nan(xp: Any, name: str, a: DeviceArray, b: DeviceArray) -> Any:
    """The larger or smaller number, of which NaN is none."""
    found = getattr(xp, {"fmax": "maximum", "fmin": "minimum"}[name])(a.array, b.array)
    found = xp.where(xp.isnan(a.array), b.array, found)
    return xp.where(xp.isnan(b.array), a.array, found)


def _filled(name: str) -> Callable[..., DeviceArray]:
    """numpy.zeros_like and its kin."""

    def like(a: DeviceArray, *value: Any, dtype: Any = None, **_: Any) -> DeviceArray:
        kind = a._kind(dtype or a.dtype)
        return DeviceArray(getattr(a.xp, name)(a.shape, *value, **kind))

    return like


def _where(condition: Any, a: Any, b: Any) -> DeviceArray:
    one = next(each for each in (condition, a, b) if isinstance(each, DeviceArray))
    a, b = one._together([a, b])
    return DeviceArray(one.xp.where(one.like(condition).array, a.array, b.array))


def _concatenate(parts: Sequence[Any], axis: int = 0, **_: Any) -> DeviceArray:
    one = next(each for each in parts if isinstance(each, DeviceArray))
    arrays = [each.array for each in one._together(list(parts))]
    return DeviceArray(one.xp.concat(arrays, axis=axis))


def _copyto(out: DeviceArray, value: Any, where: Any = True, **_: Any) -> None:
    if where is True:
        out[...] = value
        return
    filled = out.like(np.asarray(value, out.dtype) if not isinstance(value, DeviceArray) else value)
    out[...] = DeviceArray(out.xp.where(out.like(where).array, filled.array, out.array))


def _array_equal(a: Any, b: Any) -> bool:
    if not (isinstance(a, DeviceArray) and isinstance(b, DeviceArray)) or a.shape != b.shape:
        return False
    return bool(a.xp.all(a.array == b.array))


def _average(a: DeviceArray, axis: Any = None, weights: Any = None) -> DeviceArray:
    if weights is None:
        return a.mean(axis)
    s = a.like(weights).astype(a.dtype, copy=False)
    wide = s if a.ndim == s.ndim else s.reshape(-1, *([1] * (a.ndim - 1)))
    found: DeviceArray = (a * wide).sum(axis) / s.sum()
    return found


def _clip(a: DeviceArray, low: Any, high: Any, out: Any = None, **_: Any) -> DeviceArray:
    found = DeviceArray(_clipped(*a._together([a, low, high])))
    if out is None:
        return found
    out[...] = found
    rest: DeviceArray = out
    return rest


def _shares_memory(a: Any, b: Any, **_: Any) -> bool:
    return a is b or getattr(a, "array", a) is getattr(b, "array", b)


def _outer(a: Any, b: Any, **_: Any) -> DeviceArray:
    found: DeviceArray = a.reshape(-1, 1) * b.reshape(1, -1)
    return found


MADE = {np.zeros: "zeros", np.empty: "empty", np.ones: "ones", np.full: "full"}
FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.zeros_like: _filled("zeros"), np.empty_like: _filled("empty"),
    np.ones_like: _filled("ones"), np.full_like: _filled("full"),
    np.where: _where, np.concatenate: _concatenate, np.copyto: _copyto,
    np.array_equal: _array_equal, np.average: _average, np.outer: _outer,
    np.shares_memory: _shares_memory, np.may_share_memory: _shares_memory,
    np.clip: _clip,
    np.sum: lambda a, axis=None, **more: a.sum(axis, **more),
    np.mean: lambda a, axis=None, **more: a.mean(axis, **more),
    np.any: lambda a, axis=None, **_: a.any(axis), np.all: lambda a, axis=None, **_: a.all(axis),
    np.max: lambda a, axis=None, **_: a.max(axis), np.min: lambda a, axis=None, **_: a.min(axis),
    np.einsum: lambda how, a, b, dtype=None: a @ b,  # "i,i->" alone
    np.dot: lambda a, b: a @ b, np.vdot: lambda a, b: a @ b,
    np.shape: lambda a: a.shape, np.ndim: lambda a: a.ndim, np.size: lambda a: a.size,
    np.copy: lambda a, **_: a.copy(), np.ravel: lambda a, **_: a.ravel(),
    np.reshape: lambda a, shape, **_: a.reshape(shape),
    np.diag: lambda a: DeviceArray(a.xp.linalg.diagonal(a.array)),
}  # fmt: skip


def _namespace(array: Any) -> Any:
    from array_api_compat import array_namespace

    return array_namespace(array)


def is_foreign(array: Any) -> bool:
    """Whether it is an array of another library, which is to stay one."""
    return type(array).__module__.partition(".")[0] in LIBRARIES and hasattr(array, "shape")


def wrapped(array: Any, name: str) -> DeviceArray:
    """The array, with NumPy's protocols; an ImportError where array-api-compat is missing."""
    try:
        return DeviceArray(array)
    except ImportError as error:
        raise ImportError(
            f"{name} is a {type(array).__module__.partition('.')[0]} array, whose arithmetic needs "
            "array-api-compat. Install it by pip install 'gdcore[devices]', or pass a NumPy array."
        ) from error


def to_host(values: Any) -> Any:
    """An array of another library, wrapped or not, as NumPy's; anything else as it is."""
    if is_foreign(values):
        values = DeviceArray(values)
    return values.numpy() if isinstance(values, DeviceArray) else values
