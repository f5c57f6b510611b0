"""Trees of state in the few types that `torch.load(weights_only=True)` accepts, and back.

numpy arrays, numpy scalars and bytes are kept as tensors of raw bytes in a marked dict; all else is
stored as it is. A dict that itself has the mark as a key is stored as a marked list of its items.
"""

from collections import OrderedDict
from typing import Any

import numpy as np

MARK = "__hpctrain__"
PLAIN = (bool, int, float, str, type(None))


def encode(tree: Any, where: str = "tree") -> Any:
    """The tree as torch may store it. Tensors come to the CPU, without their history.

    Raises:
        TypeError: names the place, the type and what is allowed.
    """
    import torch

    if type(tree) in PLAIN:
        return tree
    if isinstance(tree, torch.Tensor):
        return _compact(tree, where)
    if isinstance(tree, np.ndarray | np.generic):
        return _encode_array(tree, where)
    if type(tree) is bytes:
        return {MARK: "bytes", "raw": _raw_tensor(np.frombuffer(tree, np.uint8))}
    if type(tree) in (list, tuple):
        return type(tree)(encode(item, f"{where}[{i}]") for i, item in enumerate(tree))
    if type(tree) in (dict, OrderedDict):
        return _encode_dict(tree, where)
    raise TypeError(
        f"{where} is a {type(tree).__module__}.{type(tree).__qualname__}; a checkpoint holds "
        "dicts, lists and tuples of numbers, texts, bytes, None, numpy arrays and tensors"
    )


def decode(tree: Any) -> Any:
    """What `encode` was given."""
    if type(tree) in (list, tuple):
        return type(tree)(decode(item) for item in tree)
    if type(tree) not in (dict, OrderedDict):
        return tree
    match tree.get(MARK):
        case None:
            return type(tree)((key, decode(value)) for key, value in tree.items())
        case "bytes":
            return tree["raw"].numpy().tobytes()
        case "array":
            return _decode_array(tree)
        case "scalar":
            return _decode_array(tree)[()]
        case "dict" | "OrderedDict" as kind:
            items = [(decode(key), decode(value)) for key, value in tree["items"]]
            return dict(items) if kind == "dict" else OrderedDict(items)
        case other:
            raise ValueError(f"a part of kind {other!r}, which this version does not know")


def _encode_dict(tree: dict[Any, Any], where: str) -> dict[Any, Any]:
    items = [(key, encode(value, f"{where}[{key!r}]")) for key, value in tree.items()]
    if MARK not in tree and all(_is_plain_key(key) for key in tree):
        return type(tree)(items)
    coded = [(encode(key, f"a key of {where}"), value) for key, value in items]
    return {MARK: type(tree).__name__, "items": coded}


def _is_plain_key(key: Any) -> bool:
    return type(key) in PLAIN or (type(key) is tuple and all(map(_is_plain_key, key)))


def _encode_array(array: np.ndarray | np.generic, where: str) -> dict[str, Any]:
    if array.dtype.kind not in "biufcmMSU":
        raise TypeError(f"{where} is a numpy array of {array.dtype}; use a numeric dtype")
    flat = np.ascontiguousarray(array).reshape(-1)
    return {
        MARK: "array" if isinstance(array, np.ndarray) else "scalar",
        "dtype": array.dtype.str,
        "shape": array.shape,
        "raw": _raw_tensor(flat.view(np.uint8)),
    }


def _decode_array(tree: dict[str, Any]) -> np.ndarray:
    array: np.ndarray = tree["raw"].numpy().view(np.dtype(tree["dtype"]))
    return array.reshape(tree["shape"])


def _raw_tensor(raw: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(raw if raw.flags.writeable else raw.copy())


def _compact(tensor: Any, where: str) -> Any:
    """The tensor without the rest of a larger storage that it may be a view of."""
    import torch

    if tensor.layout is not torch.strided or tensor.is_quantized:
        raise TypeError(f"{where} is a tensor of layout {tensor.layout}; give a dense one")
    plain = tensor.detach().cpu()
    if type(plain) is not torch.Tensor:
        plain = plain.as_subclass(torch.Tensor)
    used_bytes = plain.numel() * plain.element_size()
    return plain if plain.untyped_storage().nbytes() == used_bytes else plain.clone()
