"""What a parameter of the search may be: a range of floats or integers, a choice, or a constant.

These are plain values; the `Space` checks them, because it knows their names, and asks each for its
`problems`. In Python there is a shorthand, in TOML a table:

    (1e-5, 1e-1)    Float(1e-5, 1e-1)         {low = 1e-5, high = 1e-1, log = true}
    (1, 8)          Int(1, 8)                 {low = 1, high = 8}
    ["sgd", "adam"] Choice(["sgd", "adam"])   {options = ["sgd", "adam"]}
    0.9             Fixed(0.9)                0.9
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

Value = bool | int | float | str | None
When = Mapping[str, "Value | Sequence[Value]"]

LARGEST_INT = 2**53  # a gene is a float64
GRID_TOLERANCE = 1e-9  # of a step: 0.3 is on the grid of step 0.1, although 3 * 0.1 is not 0.3


@dataclass(frozen=True, slots=True)
class Float:
    """Real numbers from `low` to `high`, or on the grid `low + k step` within them.

    Attributes:
        log: even in the logarithm; then `low` must be positive and there is no `step`.
        when: the parents' values for which the parameter applies; always if None.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    when: When | None = field(default=None, hash=False)

    @property
    def count(self) -> int | None:
        """How many values there are; None if there is no grid."""
        if self.step is None:
            return None
        return int((self.high - self.low) / self.step + GRID_TOLERANCE) + 1

    @property
    def allowed(self) -> str:
        grid = f" in steps of {self.step}" if self.step is not None else ""
        return f"a number from {self.low} to {self.high}{grid}"

    def problems(self) -> list[str]:
        found = _range_problems(self, "a finite number", _is_finite)
        if found:
            return found
        if self.log and self.step is not None:
            found.append("log and step exclude each other; leave out one of them")
        widest = (self.high - self.low) * (1 + GRID_TOLERANCE)
        if self.step is not None and not 0 < self.step <= widest:
            found.append(f"step is {self.step}, but must be above 0 and at most high - low")
        return found

    def gene(self, value: object) -> float:
        """Raises ValueError if the value is not `allowed`."""
        if not _is_number(value) or not self.low <= (x := float(value)) <= self.high:  # type: ignore[arg-type]  # a number
            raise ValueError
        if self.step is None:
            return x
        k = round((x - self.low) / self.step)
        nearest = min(self.low + k * self.step, self.high)
        if abs(x - nearest) > GRID_TOLERANCE * self.step:
            raise ValueError
        return nearest

    def described(self) -> dict[str, Any]:
        table: dict[str, Any] = {"low": float(self.low), "high": float(self.high)}
        if self.log:
            table["log"] = True
        if self.step is not None:
            table["step"] = float(self.step)
        return table


@dataclass(frozen=True, slots=True)
class Int:
    """Integers from `low` to `high`, both included, in steps of `step`.

    Attributes:
        log: even in the logarithm; then `low` must be at least 1, and `step` 1.
        when: the parents' values for which the parameter applies; always if None.
    """

    low: int
    high: int
    log: bool = False
    step: int = 1
    when: When | None = field(default=None, hash=False)

    @property
    def count(self) -> int:
        return (self.high - self.low) // self.step + 1

    @property
    def allowed(self) -> str:
        grid = f" in steps of {self.step}" if self.step != 1 else ""
        return f"an integer from {self.low} to {self.high}{grid}"

    def problems(self) -> list[str]:
        found = _range_problems(self, "an integer of at most 2^53", _is_exact_int)
        if found:
            return found
        if not _is_exact_int(self.step) or not 1 <= self.step <= self.high - self.low:
            found.append(f"step is {self.step!r}, but must be an integer from 1 to high - low")
        elif self.log and self.step != 1:
            found.append("log and step exclude each other; leave out one of them")
        return found

    def gene(self, value: object) -> float:
        """Raises ValueError if the value is not `allowed`."""
        if not _is_int(value) or not self.low <= (x := int(value)) <= self.high:  # type: ignore[call-overload]  # an integer
            raise ValueError
        if (x - self.low) % self.step:
            raise ValueError
        return float(x)

    def described(self) -> dict[str, Any]:
        table: dict[str, Any] = {"low": int(self.low), "high": int(self.high)}
        if self.log:
            table["log"] = True
        if self.step != 1:
            table["step"] = int(self.step)
        return table


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several options that have no order: of bool, int, float, str or None."""

    options: Sequence[Value]
    when: When | None = field(default=None, hash=False)

    @property
    def count(self) -> int:
        return len(self.options)

    @property
    def allowed(self) -> str:
        return "one of " + ", ".join(map(repr, self.options))

    def problems(self) -> list[str]:
        if isinstance(self.options, str) or not isinstance(self.options, Sequence):
            return [f"options is {self.options!r}, but must be a list"]
        if not self.options:
            return ["options is empty, but a choice needs at least one"]
        found = [f"option {o!r}: {_VALUES}" for o in self.options if not _is_value(o)]
        if not found and len({value_key(option) for option in self.options}) < len(self.options):
            found.append(f"options must be distinct, but are {list(self.options)}")
        return found

    def gene(self, value: object) -> float:
        """The option's index. Raises ValueError if there is no such option."""
        return float([value_key(option) for option in self.options].index(value_key(value)))

    def described(self) -> dict[str, Any]:
        return {"options": list(self.options)}


@dataclass(frozen=True, slots=True)
class Fixed:
    """A constant: it is in every configuration, and it is no gene."""

    value: Value
    when: When | None = field(default=None, hash=False)

    @property
    def allowed(self) -> str:
        return repr(self.value)

    def problems(self) -> list[str]:
        return [] if _is_value(self.value) else [f"value is {self.value!r}: {_VALUES}"]

    def gene(self, value: object) -> float:
        """Raises ValueError if `value` is another one."""
        if value_key(value) != value_key(self.value):
            raise ValueError
        return 0.0

    def described(self) -> dict[str, Any]:
        return {"value": self.value}


Gene = Float | Int | Choice
Parameter = Gene | Fixed
Shorthand = (
    Parameter
    | tuple[float, float]
    | Sequence[Value]
    | Mapping[str, Any]
    | bool
    | float
    | str
    | None
)


def values_of(gene: Gene) -> Iterator[float]:
    """All values of a gene that has a `count`."""
    count = gene.count
    assert count is not None
    for k in range(count):
        if isinstance(gene, Choice):
            yield float(k)
        else:
            yield min(float(gene.low + k * (gene.step or 1)), float(gene.high))


_VALUES = "a value must be a bool, an int, a finite float, a str or None"
_RANGE_KEYS = frozenset({"low", "high", "log", "step", "when"})


def parameter_from(short: object) -> Parameter:
    """A parameter from the shorthand or the table at the head of this file.

    Raises:
        ValueError: if it is neither; the text does not name the parameter.
    """
    match short:
        case Float() | Int() | Choice() | Fixed():
            return short
        case tuple():
            if len(short) != 2 or not all(map(_is_number, short)):
                raise ValueError(f"is {short!r}, but a range is (low, high); a choice is a list")
            return Int(*short) if all(map(_is_int, short)) else Float(*short)
        case list():
            return Choice(tuple(short))
        case Mapping():
            return _from_table(short)
        case _ if _is_value(short):
            return Fixed(short)  # type: ignore[arg-type]  # it is a value
    raise ValueError(f"is {short!r}, but must be a range, a list of options, or a constant")


def _from_table(table: Mapping[str, Any]) -> Parameter:
    given = frozenset(table)
    if "options" in given:
        _refuse_others(given, frozenset({"options", "when"}))
        options = table["options"]
        return Choice(tuple(options) if isinstance(options, list) else options, table.get("when"))
    if "value" in given:
        _refuse_others(given, frozenset({"value", "when"}))
        return Fixed(table["value"], table.get("when"))
    _refuse_others(given, _RANGE_KEYS)
    missing = {"low", "high"} - given
    if missing:
        raise ValueError(f"lacks {' and '.join(sorted(missing))}; or give it options or a value")
    is_int = all(_is_int(table[key]) for key in ("low", "high", "step") if key in given)
    return Int(**table) if is_int else Float(**table)


def _refuse_others(given: frozenset[str], allowed: frozenset[str]) -> None:
    unknown = sorted(map(str, given - allowed))
    if unknown:
        raise ValueError(f"has no key {', '.join(unknown)}; allowed: {', '.join(sorted(allowed))}")


def _range_problems(range_: Float | Int, what: str, is_right: Any) -> list[str]:
    found = [
        f"{key} is {value!r}, but must be {what}"
        for key, value in (("low", range_.low), ("high", range_.high))
        if not is_right(value)
    ]
    if not isinstance(range_.log, bool):
        found.append(f"log is {range_.log!r}, but must be true or false")
    if range_.step is not None and not _is_finite(range_.step):
        found.append(f"step is {range_.step!r}, but must be {what}")
    if found:
        return found
    if not range_.low < range_.high:
        return [
            f"low is {range_.low} and high {range_.high}, but low must be below high; "
            "a constant is written as the number alone"
        ]
    if not isfinite(range_.high - range_.low):
        return [f"low is {range_.low} and high {range_.high}, which is too far apart for a float"]
    if range_.log and range_.low <= 0:
        return [f"low is {range_.low}, but a logarithmic range must be above 0"]
    return []


def _is_number(value: object) -> bool:
    """Also of numpy, whose scalars have `__float__`; a string has not."""
    return not isinstance(value, bool) and hasattr(value, "__float__")


def _is_int(value: object) -> bool:
    return not isinstance(value, bool) and hasattr(value, "__index__")


def _is_finite(value: object) -> bool:
    return _is_number(value) and isfinite(value)  # type: ignore[arg-type]  # a number


def _is_exact_int(value: object) -> bool:
    return _is_int(value) and abs(value) <= LARGEST_INT  # type: ignore[arg-type]  # an integer


def _is_value(value: object) -> bool:
    if isinstance(value, float):
        return isfinite(value)
    return value is None or isinstance(value, (bool, int, str))


def value_key(value: object) -> tuple[bool, object]:
    """Equal values have equal keys, but True is not 1."""
    return isinstance(value, bool), value
