"""Values of flags that a search tries, and how the command line gives them."""

from dataclasses import dataclass, fields
from typing import get_args

import optuna

from models.errors import Refused
from models.training.flags import Flags

FIXED = ("data", "pattern", "device", "threads", "drawers", "choose_by", "choose_on")  # flags that are not searched for
Value = float | int | str | bool


@dataclass(frozen=True, slots=True)
class Axis:
    """Values of one flag to try: a list, or a range from low to high, even on a log scale if `log`."""

    name: str
    choices: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False  # integers only

    def points(self, count: int = 5) -> tuple[Value, ...]:
        """The values of a grid: the choices, or so many spread over the range.

        >>> Axis("rate", low=1e-4, high=1e-2, log=True).points(3)
        (0.0001, 0.001, 0.01)
        """
        if self.choices:
            return self.choices
        shares = [k / max(1, count - 1) for k in range(count)]
        spread = [
            self.low * (self.high / self.low) ** one if self.log else self.low + (self.high - self.low) * one
            for one in shares
        ]
        if self.whole:
            return tuple(dict.fromkeys(round(one) for one in spread))
        return tuple(float(f"{one:.6g}") for one in spread)

    def suggest(self, trial: optuna.Trial, grid: bool) -> Value:
        """The trial's value."""
        if self.choices or grid:
            chosen = trial.suggest_categorical(self.name, self.points())
            assert chosen is not None
            return chosen
        if self.whole:
            return trial.suggest_int(self.name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)


def read_axis(text: str) -> Axis:
    """The values to try of one flag, as the command line has them: a list, or a range with `:log` behind it or not.

    >>> read_axis("rate=1e-4..1e-2:log")
    Axis(name='rate', choices=(), low=0.0001, high=0.01, log=True, whole=False)
    >>> read_axis("smoothing=0,0.1").choices
    (0.0, 0.1)
    >>> read_axis("losses=identity=1|identity=1,triplet=1").choices  # values that hold commas
    ('identity=1', 'identity=1,triplet=1')
    """
    name, _, values = text.partition("=")
    name = name.strip().replace("-", "_")
    kinds = {one.name: get_args(one.type)[0] if one.default is None else type(one.default) for one in fields(Flags)}
    if name not in kinds or name in FIXED:
        raise Refused(f"--try {text}: there is no flag to try by this name; see `python -m models train --help`")
    kind = kinds[name]
    try:
        if ".." not in values:
            choices = tuple(read_value(kind, one.strip()) for one in values.split("|" if "|" in values else ","))
            return Axis(name, choices)
        span, _, scale = values.partition(":")
        low, high = (float(one) for one in span.split(".."))
        if kind not in (int, float) or scale not in ("", "log") or low >= high or (scale == "log" and low <= 0):
            raise ValueError
        return Axis(name, low=low, high=high, log=scale == "log", whole=kind is int)
    except ValueError as error:
        raise Refused(
            f"--try {text}: give NAME=VALUE,VALUE,… or, for numbers, NAME=LOW..HIGH with :log for a log scale"
        ) from error


def read_value(kind: type, text: str) -> Value:
    """A flag's value from the command line. Raises ValueError."""
    if kind is bool:
        if text not in ("true", "false"):
            raise ValueError(text)
        return text == "true"
    value: Value = kind(text)
    return value
