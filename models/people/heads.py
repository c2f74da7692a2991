"""Heads: hair, hats, hoods and scarves."""

import math

from models.people.dress import FACE, HAIR, HAT
from models.people.person import Person
from models.people.pose import Pose
from models.people.solids import UP, Look, Point, move, solid, times, toward, tube, turned


def head(person: Person, pose: Pose, neck: Point) -> list[list[float]]:
    """Head with its hair, and what is worn on it."""
    h, look = person.body.height, person.head
    size = 0.0635 * h * person.body.head  # half of the head's height
    sx, sz = turned(0.0, 1.0, -(pose.look + pose.twist))
    front = (sx, 0.0, sz)
    chin = move(neck, sx * 0.012 * h, 0.024 * h, (0.012 + 0.03 * math.sin(pose.nod)) * h)
    lean = 2 * size * math.sin(pose.nod + 0.5 * pose.lean)
    crown = move(chin, 0.5 * sx * lean, 2 * size * math.cos(pose.nod), sz * lean)
    low, high = toward(chin, crown, 0.28), toward(chin, crown, 0.78)
    width, depth = times((0.54, 0.66, 0.62), size), times((0.66, 0.8, 0.76), size)
    rows = [solid(low, high, width, depth, size * 0.46, Look(FACE, (0.2, 0.84)), front)]
    rows += on_head(person, size, front, neck, (chin, crown))
    if look.hair in ("bob", "long", "tail", "bun") and look.hat not in ("hood", "scarf"):
        rows.append(behind_head(person, size, front, neck, (chin, crown)))
    return rows


def behind_head(person: Person, size: float, front: Point, neck: Point, axis: tuple[Point, Point]) -> list[float]:
    """Hair that hangs or is tied; `axis` is (chin, crown)."""
    chin, crown = axis
    bx, bz, h = -front[0] * size, -front[2] * size, person.body.height
    match person.head.hair:
        case "bob":
            low, high = move(chin, 0.25 * bx, 0.1 * size, 0.25 * bz), toward(chin, crown, 0.7)
            width, depth = times((0.72, 0.8, 0.7), size), times((0.6, 0.72, 0.72), size)
            return solid(low, high, width, depth, size * 0.2, Look(HAIR, folds=0.1, fuzz=0.05), front)
        case "long":
            low = move(neck, 0.75 * bx, -(0.02 + 0.1 * person.outfit.lower.phase) * h, 0.75 * bz)
            high = move(toward(chin, crown, 0.75), 0.3 * bx, 0, 0.3 * bz)
            width, depth = times((0.68, 0.78, 0.6), size), times((0.62, 0.5, 0.3), size)
            return solid(high, low, width, depth, size * 0.2, Look(HAIR, folds=0.12, fuzz=0.08), front)
        case "tail":
            high = move(toward(chin, crown, 0.75), 0.75 * bx, 0, 0.75 * bz)
            low = move(neck, 0.95 * bx, -0.02 * h, 0.95 * bz)
            return tube(high, low, times((0.25, 0.28, 0.12), size), 0.02, Look(HAIR, fuzz=0.1), front)
        case _:
            bun = move(crown, 0.6 * bx, -0.1 * size, 0.6 * bz)
            return tube(bun, move(bun, 0, size * 0.2, 0), (size * 0.3,) * 2, size * 0.25, Look(HAIR))


def on_head(person: Person, size: float, front: Point, neck: Point, axis: tuple[Point, Point]) -> list[list[float]]:
    """The hair that covers the skull, or a cap, a woollen hat, a hat with a brim, a hood, a headscarf."""
    if person.head.hat in ("hood", "scarf"):
        return [wrapped(person, size, front, neck, axis)]
    chin, crown = axis
    bx, bz = -front[0] * size, -front[2] * size
    low, high, top = (move(toward(chin, crown, share), 0.2 * bx, 0, 0.2 * bz) for share in (0.55, 0.85, 1.0))
    dome, deep = times((0.7, 0.72, 0.62), size), times((0.82, 0.84, 0.7), size)
    hat = Look(HAT)
    match person.head.hat:
        case "cap":
            brim = toward(chin, crown, 0.72)
            edge = move(brim, -1.35 * bx, -0.1 * size, -1.35 * bz)
            shade = solid(brim, edge, times((0.62, 0.6, 0.4), size), (size * 0.07,) * 3, 0.01, hat, UP)
            return [solid(low, high, times(dome, 1.04), times(deep, 1.04), size * 0.38, hat, front), shade]
        case "beanie":
            wool, edge = Look(HAT, folds=0.1, fuzz=0.03), move(low, 0, -0.1 * size, 0)
            return [solid(edge, high, times(dome, 1.08), times(deep, 1.06), size * 0.5, wool, front)]
        case "brim":
            brim = toward(chin, crown, 0.74)
            edge = move(brim, 0, size * 0.06, 0)
            shade = solid(brim, edge, (size * 1.25,) * 2, (size * 1.35,) * 2, 0.005, hat, front)
            return [solid(brim, top, times(dome, 1.05), times(deep, 1.02), size * 0.2, hat, front), shade]
        case _ if person.head.hair != "bald":
            full = 1.0 if person.head.hair == "short" else 1.07
            return [solid(low, high, times(dome, full), times(deep, full), size * 0.36, Look(HAIR, fuzz=0.06), front)]
        case _:
            return []


def wrapped(person: Person, size: float, front: Point, neck: Point, axis: tuple[Point, Point]) -> list[float]:
    """A hood or a headscarf."""
    chin, crown = axis
    bx, bz = -front[0] * size, -front[2] * size
    high = move(toward(chin, crown, 0.85), 0.2 * bx, 0, 0.2 * bz)
    if person.head.hat == "hood":
        low, high = move(neck, 0.3 * bx, 0.0, 0.3 * bz), move(high, 0.15 * bx, 0, 0.15 * bz)
        width, depth = times((0.85, 0.95, 0.75), size), times((0.8, 1, 0.8), size)
        return solid(low, high, width, depth, size * 0.4, Look(HAT, folds=0.15, fuzz=0.04), front)
    low = move(neck, 0.25 * bx, -0.02 * person.body.height, 0.25 * bz)
    width, depth = times((1.1, 0.82, 0.7), size), times((0.95, 0.85, 0.8), size)
    return solid(low, high, width, depth, size * 0.35, Look(HAT, folds=0.15), front)
