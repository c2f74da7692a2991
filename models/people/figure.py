"""Puts a person in a pose together from about 25 solids: torso, head, limbs, clothes, hair and bag."""

from dataclasses import replace

import numpy as np

from models.people.fabric import Fabric
from models.people.person import Person, Pose
from models.people.render import Solid, Vector


def point(x: float, y: float, z: float = 0.0) -> Vector:
    """A place or a direction in metres: x to the person's left, y up, z to the front."""
    return np.array([x, y, z], np.float64)


def build_figure(person: Person, pose: Pose) -> list[Solid]:
    """All solids of a person in a pose, standing over the origin."""
    hips = point(0, person.legs * person.height)
    neck = hips + (0.82 - person.legs) * person.height * point(0, np.cos(pose.lean), np.sin(pose.lean))
    solids = torso(person, hips, neck) + clothes_below(person, hips)
    solids += head(person, pose, neck) + bag(person, pose, hips, neck)
    for k, sign in enumerate((1.0, -1.0)):
        solids += leg(person, pose, k, sign, hips) + arm(person, pose, k, sign, neck)
    return solids


def hip_width(person: Person) -> float:
    """Half the width of the hips, metres."""
    return 0.094 * person.height * person.build * person.hips


def torso(person: Person, hips: Vector, neck: Vector) -> list[Solid]:
    """Chest, shoulders, neck and pelvis."""
    h, b = person.height, person.build
    hip, waist, chest = hip_width(person), 0.082 * h * b, 0.105 * h * b * person.shoulders
    width = 0.1 * h * person.shoulders * (0.75 + 0.25 * b)
    up = (neck - hips) / np.linalg.norm(neck - hips)
    left, right = neck + point(-width, -0.022 * h), neck + point(width, -0.022 * h)
    low, high = hips + point(0, 0.02 * h), hips - point(0, 0.045 * h)
    yoke = (0.037 * h, 0.043 * h, 0.037 * h)
    pelvis = (hip, hip * 0.99, hip * 0.93)
    return [
        Solid(hips, neck - 0.05 * h * up, (hip, waist * 1.06, chest), person.top, depth=0.62, cap=0.04 * h),
        Solid(left, right, yoke, Fabric(person.top.base), depth=1.1, cap=0.03 * h),
        Solid(neck - 0.01 * h * up, neck + 0.05 * h * up, (0.034 * h, 0.031 * h, 0.031 * h), Fabric(person.skin)),
        Solid(low, high, pelvis, person.bottom_fabric, depth=0.66, cap=0.02 * h),
    ]


def clothes_below(person: Person, hips: Vector) -> list[Solid]:
    """What hangs from the waist: a skirt, the hem of a coat."""
    h, hip = person.height, hip_width(person)
    waist = hips + point(0, 0.05 * h)
    solids = []
    if person.bottom == "skirt":
        below = hips - point(0, person.bottom_length * person.legs * h)
        radii = (0.082 * h * person.build, hip * 1.12, hip * (1.15 + 0.35 * person.bottom_length))
        solids.append(Solid(waist, below, radii, person.bottom_fabric, depth=0.75, cap=0.01))
    if person.hem > 0:
        cloth = person.top if person.top.pattern == "open" else Fabric(person.top.base, folds=person.top.folds)
        radii = (hip, hip * 1.05, hip * (1.06 + 0.5 * person.hem))
        solids.append(Solid(waist, hips - point(0, person.hem), radii, cloth, depth=0.74, cap=0.01))
    return solids


def head(person: Person, pose: Pose, neck: Vector) -> list[Solid]:
    """Head with its hair, and what is worn on it."""
    size = 0.052 * person.height * person.head
    look = point(np.sin(pose.look), 0.02, np.cos(pose.look))
    chin = neck + point(0, 0.055 * person.height, 0.01 * person.height)
    crown = chin + point(0, 1.5 * size)
    hair = person.skin if person.hair == "bald" else person.hair_colour
    hairline = {"long": 1.4, "tail": 0.75, "hood": 2.0}.get(person.hair, 0.55)
    face = Fabric(person.skin, hair, "head", hairline)
    skull = Solid(chin, crown, (size * 0.82, size * 1.06, size * 0.9), face, depth=1.16, cap=size * 0.75, front=look)
    return [skull, *on_head(person, size, look, neck, crown)]


def on_head(person: Person, size: float, look: Vector, neck: Vector, crown: Vector) -> list[Solid]:
    """Long hair, a ponytail, a bun, a cap with its brim, or a hood; `size` is about the head's radius in metres."""
    cloth = Fabric(person.hair_colour)
    back = point(look[0], 0, look[2]) * size
    match person.hair:
        case "long":
            fall = neck - point(0, 0.05 * person.height) - back * 0.9
            return [Solid(crown - back * 0.35, fall, (size * 0.95, size * 1.1, size), cloth, 0.55, size * 0.5, look)]
        case "tail":
            return [Solid(crown - back * 1.2, neck - back * 1.5, (size * 0.35, size * 0.4, size * 0.2), cloth)]
        case "bun":
            bun = crown + point(0, size * 0.35) - back * 0.7
            return [Solid(bun, bun + point(0, size * 0.3), (size * 0.5,) * 3, cloth, cap=size * 0.4)]
        case "cap":
            hat, brim = Fabric(person.hat_colour), crown + point(0, size * 0.05)
            dome = (size * 1.12, size * 1.1, size * 0.9)
            return [
                Solid(brim, brim + point(0, size * 0.5), dome, hat, 1.15, size * 0.4, look),
                Solid(brim + back * 0.4, brim + back * 1.7, (size * 0.9, size * 0.9, size * 0.7), hat, 0.15, 0.02),
            ]
        case "hood":
            top = crown + point(0, size * 0.1) - back * 0.35
            wide = (size * 1.3, size * 1.25, size)
            return [Solid(neck, top, wide, Fabric(person.top.base), 1.05, size * 0.5, look)]
        case _:
            return []


def leg(person: Person, pose: Pose, k: int, sign: float, hips: Vector) -> list[Solid]:
    """Thigh, shin and shoe on one side (k 0 is left)."""
    h, b = person.height, person.build
    swing, knee_bend = pose.legs[k], pose.knees[k]
    hip = hips + point(sign * 0.05 * h * (0.6 + 0.4 * b) * person.hips, -0.02 * h)
    span = person.legs * h
    knee = hip + 0.5 * span * point(sign * 0.03, -np.cos(swing), np.sin(swing))
    ankle = knee + 0.44 * span * point(sign * 0.01, -np.cos(swing - knee_bend), np.sin(swing - knee_bend))
    toe = ankle + 0.095 * h * point(sign * 0.15, -0.2 - 0.4 * np.sin(knee_bend), 1.0)
    bare = Fabric(person.skin)
    thigh_cloth = bare if person.bottom == "skirt" else person.bottom_fabric
    shin_cloth = person.bottom_fabric if person.bottom == "trousers" else bare
    covered = person.bottom_length * span if person.bottom == "shorts" else span
    thick = 0.05 * h * (0.45 + 0.55 * b)
    wide = thick * (1.1 if person.bottom == "trousers" else 0.98)
    upper, lower, foot = (thick * 1.15, wide, wide * 0.8), (wide * 0.78, wide * 0.74, wide * 0.55), 0.026 * h
    return [
        Solid(hip, knee, upper, thigh_cloth, cap=0.03 * h, under=person.skin, covered=covered),
        Solid(knee, ankle, lower, shin_cloth, cap=0.02 * h),
        Solid(ankle - point(0, 0.01 * h), toe, (foot, 0.027 * h, 0.02 * h), Fabric(person.shoes), 0.9, 0.018 * h),
    ]


def arm(person: Person, pose: Pose, k: int, sign: float, neck: Vector) -> list[Solid]:
    """Upper arm, forearm and hand on one side (k 0 is left)."""
    h = person.height
    shoulder, elbow, wrist = arm_joints(person, pose, k, sign, neck)
    knuckles = wrist + 0.045 * h * (wrist - elbow) / np.linalg.norm(wrist - elbow)
    thick = 0.029 * h * (0.5 + 0.5 * person.build)
    covered = person.sleeve * 0.42 * h if person.sleeve else -h  # no sleeve bares the shoulder's rounding too
    bare = Fabric(person.skin)
    sleeve = replace(person.top, pattern="hoops" if person.top.pattern == "hoops" else "plain")
    upper, lower = (thick * 1.3, thick * 1.15, thick), (thick, thick * 0.95, thick * 0.75)
    return [
        Solid(shoulder, elbow, upper, sleeve, cap=0.025 * h, under=person.skin, covered=covered),
        Solid(elbow, wrist, lower, sleeve if person.sleeve == 1 else bare, cap=0.015 * h),
        Solid(wrist, knuckles, (thick * 0.65, thick * 0.8, thick * 0.5), bare),
    ]


def arm_joints(person: Person, pose: Pose, k: int, sign: float, neck: Vector) -> tuple[Vector, Vector, Vector]:
    """Shoulder, elbow and wrist on one side."""
    h, swing, bend = person.height, pose.arms[k], pose.elbows[k]
    shoulder = neck + point(sign * 0.112 * h * person.shoulders * (0.75 + 0.25 * person.build), -0.03 * h)
    elbow = shoulder + 0.17 * h * point(sign * np.sin(pose.spread), -np.cos(swing), np.sin(swing))
    lower = point(sign * 0.4 * np.sin(pose.spread), -np.cos(swing + bend), np.sin(swing + bend))
    return shoulder, elbow, elbow + 0.145 * h * lower


def bag(person: Person, pose: Pose, hips: Vector, neck: Vector) -> list[Solid]:
    """What the person carries, with its straps."""
    h, b, size = person.height, person.build, person.bag_size
    cloth, band = Fabric(person.bag_colour), (0.012 * h,) * 3
    match person.bag:
        case "backpack":
            back, low, high = -point(0, 0, 0.1 * h * b), hips + 0.3 * (neck - hips), neck - point(0, 0.03 * h)
            straps = [
                Solid(
                    neck + point(s * 0.06 * h, 0, 0.02 * h),
                    hips + point(s * 0.075 * h, 0.16 * h, 0.07 * h),
                    band,
                    cloth,
                )
                for s in (-1, 1)
            ]
            return [Solid(low + back, high + back, (0.085 * h * size,) * 3, cloth, 0.6, 0.03 * h), *straps]
        case "shoulder":
            side, over = hips + point(0.125 * h * b, -0.03 * h), neck + point(-0.07 * h, 0.0, 0.03 * h)
            sides = (0.035 * h, 0.04 * h, 0.035 * h)
            return [
                Solid(side, side + point(0, 0.11 * h * size), sides, cloth, 2.2 * size, 0.01),
                Solid(over, hips + point(0.09 * h, 0.05 * h, 0.075 * h * b), band, cloth),
            ]
        case "hand":
            hand = arm_joints(person, pose, 1, -1.0, neck)[2] - point(0, 0.03 * h)
            return [Solid(hand - point(0, 0.13 * h * size), hand, (0.03 * h,) * 3, cloth, 2.6 * size, 0.01)]
        case _:
            return []
