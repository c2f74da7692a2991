"""Flags that say several things in a short text."""

from models.errors import Refused
from models.training.losses import NAMES


def read_losses(text: str) -> dict[str, float]:
    """Names and weights of losses.

    >>> read_losses("contrastive=1,identity=0.3")
    {'contrastive': 1.0, 'identity': 0.3}
    """
    try:
        weights = {name.strip(): float(weight) for name, weight in (part.split("=") for part in text.split(","))}
    except ValueError as error:
        raise Refused(f"--losses {text}: give NAME=WEIGHT,… such as identity=1,triplet=1") from error
    unknown = [name for name in weights if name not in NAMES]
    if unknown:
        raise Refused(f"--losses {text}: there is no loss {unknown[0]}; there are {', '.join(NAMES)}")
    if any(weight <= 0 for weight in weights.values()):
        raise Refused(f"--losses {text}: every weight must be above 0; leave out a loss that is not wanted")
    return weights


def read_sizes(text: str) -> list[tuple[float, int, int]]:
    """Shares of the training and the sizes until then: (share, height, width), ascending.

    >>> read_sizes("0.3@32x16,0.6@64x32")
    [(0.3, 32, 16), (0.6, 64, 32)]
    """
    stages = []
    for part in filter(None, text.split(",")):
        try:
            share, size = part.split("@")
            height, width = size.split("x")
            stages.append((float(share), int(height), int(width)))
        except ValueError as error:
            raise Refused(f"--resize {text}: give SHARE@HEIGHTxWIDTH,… such as 0.5@64x32") from error
    shares = [share for share, _, _ in stages]
    if shares != sorted(set(shares)) or not all(0 < share < 1 for share in shares):
        raise Refused(f"--resize {text}: the shares must rise and lie between 0 and 1")
    if any(height < 16 or width < 16 for _, height, width in stages):
        raise Refused(f"--resize {text}: at least 16x16 pixels are needed")
    return stages


def read_milestones(text: str) -> tuple[float, ...]:
    """Shares of the training at which the rate falls.

    >>> read_milestones("0.5,0.8")
    (0.5, 0.8)
    """
    try:
        shares = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise Refused(f"--milestones {text}: give shares of the steps, such as 0.5,0.8") from error
    if not all(0 < share < 1 for share in shares):
        raise Refused(f"--milestones {text}: the shares must lie between 0 and 1")
    return shares
