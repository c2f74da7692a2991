"""Puts a person in a pose together from about 30 solids: torso, head, limbs, clothes, hair and bag."""

import math

import numpy as np
from numpy.typing import NDArray

from models.people.dress import ARM, BAG, FACE, HAIR, HAT, HIPS, LEG, METAL, SHIN, SHOE, SKIN, SKIRT, SLEEVE, TORSO
from models.people.person import Person
from models.people.pose import Pose

Point = tuple[float, float, float]  # metres: x to the person's left, y up, z to the front
Profile = tuple[float, ...]  # half widths or half depths at even steps from start to end, metres
Solids = NDArray[np.float32]  # (n, FIELDS)
FIELDS = 26
FRONT, UP = (0.0, 0.0, 1.0), (0.0, 1.0, 0.0)


def solid(
    start: Point, end: Point, width: Profile, depth: Profile, layer: int, *, span: tuple[float, float] = (0.0, 1.0),
    cap: float = 0.02, front: Point = FRONT, folds: float = 0.0, fuzz: float = 0.0,
    joint: bool = False,
) -> list[float]:  # fmt: skip
    """A row of Solids: elliptical cross-sections along an axis, covered by the part `span` of a sheet.

    `cap` is the length of the rounded ends, `front` where the sheet's first column looks, `fuzz` how uneven the
    outline is (a share of the width); `joint` lights its ends as if the limb went on.
    """
    return [*start, *end, *front, *knots(width), *knots(depth), cap, layer, *span, folds, fuzz, float(joint)]


def knots(profile: Profile) -> Profile:
    """Five values from two, three or five."""
    if len(profile) == 2:
        a, b = profile
        return (a, 0.75 * a + 0.25 * b, 0.5 * (a + b), 0.25 * a + 0.75 * b, b)
    if len(profile) == 3:
        a, b, c = profile
        return (a, 0.5 * (a + b), b, 0.5 * (b + c), c)
    return profile


def move(a: Point, x: float, y: float, z: float) -> Point:
    """A point moved by metres."""
    return (a[0] + x, a[1] + y, a[2] + z)


def toward(a: Point, b: Point, share: float) -> Point:
    """A point between two others."""
    return (a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]), a[2] + share * (b[2] - a[2]))


def grown(profile: Profile, by: float) -> Profile:
    """A profile with so many metres added."""
    return tuple(one + by for one in profile)


def times(profile: Profile, by: float) -> Profile:
    """A profile scaled."""
    return tuple(one * by for one in profile)


def build_figure(person: Person, pose: Pose) -> Solids:
    """All solids of a person in a pose, standing over the origin; (n, FIELDS)."""
    h = person.body.height
    hips = (0.0, person.body.legs * h, 0.0)
    trunk = (0.825 - person.body.legs) * h
    neck = move(hips, trunk * math.sin(pose.sway), trunk * math.cos(pose.lean), trunk * math.sin(pose.lean))
    legs = [leg_joints(person, pose, k, hips) for k in (0, 1)]
    arms = [arm_joints(person, pose, k, neck) for k in (0, 1)]
    rows = torso(person, pose, hips, neck) + below(person, pose, hips, legs) + head(person, pose, neck)
    for k in (0, 1):
        rows += leg(person, legs[k]) + arm(person, arms[k])
    rows += carried(person, pose, hips, neck, arms) + ridden(person, pose, hips, legs)
    return np.array(rows, np.float32)


def turned(x: float, z: float, angle: float) -> tuple[float, float]:
    """x and z turned about the vertical."""
    return x * math.cos(angle) + z * math.sin(angle), z * math.cos(angle) - x * math.sin(angle)


def torso(person: Person, pose: Pose, hips: Point, neck: Point) -> list[list[float]]:
    """Chest, shoulders, neck and pelvis."""
    body, outfit = person.body, person.outfit
    h, b = body.height, 0.35 + 0.65 * body.build
    width: Profile = (0.105 * body.hips, 0.082, 0.094 * body.shoulders, 0.114 * body.shoulders, 0.05)
    depth: Profile = (0.079, 0.063, 0.072, 0.06, 0.042)
    if body.female:
        depth = (0.081, 0.058, 0.075, 0.056, 0.04)
    width = tuple(one * h * b for one in width)
    depth = tuple(one * h * b * (1 + extra * body.belly) for one, extra in zip(depth, (0.5, 1, 0.5, 0, 0), strict=True))
    drop = min(max(outfit.hem, -0.04 * h), 0.1 * h)
    low = move(hips, 0, 0.03 * h - drop, 0)
    sx, sz = turned(0.0, 1.0, pose.twist)
    top, fuzz = move(neck, 0, 0.012 * h, 0), 0.02 + 0.4 * outfit.loose
    folds = {"puffer": 0.05, "jumper": 0.08, "vest top": 0.06}.get(outfit.top, 0.12)
    waisted = 0.5 if body.female and outfit.loose < 0.015 else 1.0
    grow = (1.0, waisted, 1.0, 1.0, 0.25)
    width = tuple(one + outfit.loose * g for one, g in zip(width, grow, strict=True))
    depth = tuple(one + outfit.loose * g for one, g in zip(depth, grow, strict=True))
    hip = 0.094 * h * b * body.hips * (0.9 if outfit.hem >= 0 else 1.09)  # over the top where that is tucked in
    rows = [
        solid(low, top, width, depth, TORSO, cap=0.012 * h, front=(sx * 0.6, 0, sz), folds=folds, fuzz=fuzz),
        solid(move(hips, 0, -0.05 * h, 0), move(hips, 0, 0.06 * h, 0), (hip * 0.92, hip, hip * 0.86),
              (hip * 0.78, hip * 0.82, hip * 0.7), HIPS, folds=0.08, fuzz=0.02),
        solid(move(neck, 0, -0.01 * h, 0), move(neck, 0, 0.06 * h, 0.012 * h), (0.036 * h, 0.032 * h), (0.038 * h, 0.034 * h), SKIN),
    ]  # fmt: skip
    if outfit.top in ("hoodie", "coat", "jacket", "shirt", "puffer") and person.head.hat != "hood":
        high = {"hoodie": 0.03, "puffer": 0.045, "coat": 0.04}.get(outfit.top, 0.025) * h
        back = -0.025 * h if outfit.top == "hoodie" else -0.008 * h
        rows.append(solid(move(neck, 0, -0.01 * h, back), move(neck, 0, high, back), (0.06 * h, 0.046 * h),
                          (0.056 * h, 0.046 * h), SLEEVE, span=(0.05, 0.3), cap=0.012 * h, folds=0.1))  # fmt: skip
    if outfit.scarf:
        rows.append(solid(move(neck, 0, 0.0, 0.006 * h), move(neck, 0, 0.04 * h, 0.006 * h), (0.062 * h, 0.055 * h),
                          (0.062 * h, 0.055 * h), HAT, cap=0.015 * h, folds=0.2, fuzz=0.06))  # fmt: skip
    return rows


def below(person: Person, pose: Pose, hips: Point, legs: list[tuple[Point, Point, Point]]) -> list[list[float]]:
    """What hangs from the waist: a skirt, the lower part of a coat. It spreads as the legs do."""
    body, outfit = person.body, person.outfit
    h, hip = body.height, 0.094 * body.height * (0.35 + 0.65 * body.build) * body.hips
    rows = []
    lengths = []
    if outfit.bottom == "skirt":
        lengths.append((outfit.length * body.legs * h, 0.008, SKIRT, outfit.flare))
    if outfit.hem > 0.1 * h:
        lengths.append((outfit.hem, outfit.loose + 0.008, TORSO if outfit.bottom == "skirt" else SKIRT, 0.25))
    for length, loose, layer, flare in lengths:
        reach = min(1.0, length / (0.23 * h))
        zs = [(knee[2] - hips[2]) * reach for _, knee, _ in legs]
        centre, spread = 0.5 * (zs[0] + zs[1]), 0.5 * abs(zs[0] - zs[1]) * (0.9 if length < 0.3 * h else 0.75)
        wide = hip * (1.02 + (0.15 + 0.7 * flare) * length / (0.4 * h)) + loose
        deep = max(0.8 * wide, spread + 0.05 * h) + loose
        rows.append(solid(move(hips, 0, 0.07 * h, 0), move(hips, 0, -length, 0.8 * centre),
                          (hip * 0.86 + loose, hip * 1.03 + loose, wide), (hip * 0.7 + loose, hip * 0.88 + loose, deep),
                          layer, span=(0.0, 1.0) if layer == SKIRT else (0.02, 0.0), cap=0.008, folds=0.14, fuzz=0.03))  # fmt: skip
    return rows


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
    rows = [solid(low, high, (size * 0.54, size * 0.66, size * 0.62), (size * 0.66, size * 0.8, size * 0.76), FACE,
                  span=(0.2, 0.84), cap=size * 0.46, front=front)]  # fmt: skip
    rows += on_head(person, size, front, neck, (chin, crown))
    if look.hair in ("bob", "long", "tail", "bun") and look.hat not in ("hood", "scarf"):
        rows += behind_head(person, size, front, neck, (chin, crown))
    return rows


def behind_head(person: Person, size: float, front: Point, neck: Point, axis: tuple[Point, Point]) -> list[list[float]]:
    """Hair that hangs or is tied; `axis` is (chin, crown)."""
    chin, crown = axis
    bx, bz, h = -front[0] * size, -front[2] * size, person.body.height
    match person.head.hair:
        case "bob":
            low = move(chin, 0.25 * bx, 0.1 * size, 0.25 * bz)
            return [solid(low, toward(chin, crown, 0.7), (size * 0.72, size * 0.8, size * 0.7), (size * 0.6, size * 0.72, size * 0.72),
                          HAIR, cap=size * 0.2, front=front, folds=0.1, fuzz=0.05)]  # fmt: skip
        case "long":
            low = move(neck, 0.75 * bx, -(0.02 + 0.1 * person.outfit.lower.phase) * h, 0.75 * bz)
            return [solid(move(toward(chin, crown, 0.75), 0.3 * bx, 0, 0.3 * bz), low, (size * 0.68, size * 0.78, size * 0.6),
                          (size * 0.62, size * 0.5, size * 0.3), HAIR, cap=size * 0.2, front=front, folds=0.12, fuzz=0.08)]  # fmt: skip
        case "tail":
            top = move(toward(chin, crown, 0.75), 0.75 * bx, 0, 0.75 * bz)
            return [solid(top, move(neck, 0.95 * bx, -0.02 * h, 0.95 * bz), (size * 0.25, size * 0.28, size * 0.12),
                          (size * 0.25, size * 0.28, size * 0.12), HAIR, front=front, fuzz=0.1)]  # fmt: skip
        case _:
            bun = move(crown, 0.6 * bx, -0.1 * size, 0.6 * bz)
            return [
                solid(bun, move(bun, 0, size * 0.2, 0), (size * 0.3,) * 2, (size * 0.3,) * 2, HAIR, cap=size * 0.25)
            ]


def on_head(person: Person, size: float, front: Point, neck: Point, axis: tuple[Point, Point]) -> list[list[float]]:
    """The hair that covers the skull, or a cap, a woollen hat, a hat with a brim, a hood, a headscarf."""
    chin, crown = axis
    bx, bz = -front[0] * size, -front[2] * size
    at = [move(toward(chin, crown, share), 0.2 * bx, 0, 0.2 * bz) for share in (0.0, 0.55, 0.85, 1.0)]
    dome, deep = (size * 0.7, size * 0.72, size * 0.62), (size * 0.82, size * 0.84, size * 0.7)
    match person.head.hat:
        case "cap":
            brim, out = move(toward(chin, crown, 0.72), 0, 0, 0), 1.35
            edge = move(brim, -out * bx, -0.1 * size, -out * bz)
            return [
                solid(at[1], at[2], times(dome, 1.04), times(deep, 1.04), HAT, cap=size * 0.38, front=front),
                solid(brim, edge, (size * 0.62, size * 0.6, size * 0.4), (size * 0.07,) * 3, HAT, front=UP, cap=0.01),
            ]
        case "beanie":
            return [solid(move(at[1], 0, -0.1 * size, 0), at[2], times(dome, 1.08), times(deep, 1.06), HAT, cap=size * 0.5,
                          front=front, folds=0.1, fuzz=0.03)]  # fmt: skip
        case "brim":
            brim = move(toward(chin, crown, 0.74), 0, 0, 0)
            return [
                solid(brim, at[3], times(dome, 1.05), times(deep, 1.02), HAT, cap=size * 0.2, front=front),
                solid(
                    brim,
                    move(brim, 0, size * 0.06, 0),
                    (size * 1.25,) * 2,
                    (size * 1.35,) * 2,
                    HAT,
                    front=front,
                    cap=0.005,
                ),
            ]
        case "hood":
            low = move(neck, 0.3 * bx, 0.0, 0.3 * bz)
            return [solid(low, move(at[2], 0.15 * bx, 0, 0.15 * bz), (size * 0.85, size * 0.95, size * 0.75), (size * 0.8, size, size * 0.8),
                          HAT, cap=size * 0.4, front=front, folds=0.15, fuzz=0.04)]  # fmt: skip
        case "scarf":
            low = move(neck, 0.25 * bx, -0.02 * person.body.height, 0.25 * bz)
            return [solid(low, at[2], (size * 1.1, size * 0.82, size * 0.7), (size * 0.95, size * 0.85, size * 0.8),
                          HAT, cap=size * 0.35, front=front, folds=0.15)]  # fmt: skip
        case _ if person.head.hair != "bald":
            full = 1.0 if person.head.hair == "short" else 1.07
            return [
                solid(at[1], at[2], times(dome, full), times(deep, full), HAIR, cap=size * 0.36, front=front, fuzz=0.06)
            ]
        case _:
            return []


def leg_joints(person: Person, pose: Pose, k: int, hips: Point) -> tuple[Point, Point, Point]:
    """Hip, knee and ankle on one side (k 0 is left)."""
    h, sign = person.body.height, 1.0 - 2.0 * k
    swing, bend, apart = pose.thighs[k], pose.knees[k], pose.stance
    span = (person.body.legs - 0.045) * h
    hip = move(hips, sign * 0.05 * h * person.body.hips * (0.6 + 0.4 * person.body.build), -0.01 * h, 0)
    upper, lower = 0.51 * span, 0.49 * span
    knee = move(hip, sign * upper * math.sin(apart), -upper * math.cos(swing), upper * math.sin(swing))
    back = swing - bend
    return hip, knee, move(knee, sign * 0.7 * lower * math.sin(apart), -lower * math.cos(back), lower * math.sin(back))


def leg(person: Person, joints: tuple[Point, Point, Point]) -> list[list[float]]:
    """Thigh, shin and shoe of one side, and the cloth about them."""
    body, outfit = person.body, person.outfit
    hip, knee, ankle = joints
    h, b = body.height, (0.3 + 0.7 * body.build) * (1.04 if body.female else 1.0)
    thigh: Profile = tuple(one * h * b for one in (0.052, 0.053, 0.049, 0.043, 0.036))
    calf: Profile = tuple(one * h * b for one in (0.036, 0.038, 0.036, 0.028, 0.023))
    bare = outfit.bottom in ("shorts", "skirt")
    layer, folds, fuzz = (SHIN, 0.0, 0.0) if bare else (LEG, 0.13, 0.03 + 0.8 * outfit.width)
    if not bare:
        thigh = grown(thigh, outfit.width * 0.7)
        wide = outfit.width * (1 + 2 * outfit.flare)
        calf = tuple(one + wide * g for one, g in zip(calf, (0.7, 0.8, 1.0, 1.5, 2.0), strict=True))
    if outfit.bottom == "skirt" or outfit.hem > 0.1 * h:  # what hangs there would not enclose a whole thigh
        thigh = tuple(one * share for one, share in zip(thigh, (0.6, 0.65, 0.75, 0.9, 1.0), strict=True))
    rows = [
        solid(hip, knee, thigh, thigh, layer, span=(0.0, 0.5), cap=0.03 * h, folds=folds, fuzz=fuzz, joint=True),
        solid(knee, ankle, calf, calf, layer, span=(0.5, 1.0), cap=0.02 * h, folds=folds, fuzz=fuzz, joint=True),
    ]
    if not bare and outfit.length < 0.97:
        thin = times(grown(calf, -outfit.width), 0.9)
        rows[1] = solid(knee, toward(knee, ankle, 2 * outfit.length - 1), calf, calf, LEG, span=(0.5, 1.0), cap=0.005,
                        folds=folds, fuzz=fuzz)  # fmt: skip
        rows.append(solid(toward(knee, ankle, 2 * outfit.length - 1.05), ankle, thin[2:], thin[2:], SKIN, cap=0.005))
    if outfit.bottom == "shorts":
        wide = 0.055 * h * b + outfit.width
        rows.append(solid(hip, toward(hip, knee, min(1.0, 2 * outfit.length)), (wide, wide, wide * 0.94), (wide, wide, wide * 0.94),
                          LEG, span=(0.0, outfit.length), cap=0.006, folds=0.14, fuzz=0.04))  # fmt: skip
    if outfit.boots and outfit.bottom in ("shorts", "skirt", "leggings"):
        rows.append(solid(toward(ankle, knee, min(0.9, 2 * outfit.boots)), ankle, grown(calf, 0.006), grown(calf, 0.006), SHOE,
                          span=(0.2, 0.3), cap=0.01, folds=0.05))  # fmt: skip
    return [*rows, foot(person, knee, ankle)]


def foot(person: Person, knee: Point, ankle: Point) -> list[float]:
    """A shoe: its sole at right angles to the shin when the foot is lifted, flat otherwise."""
    h, length = person.body.height, math.dist(knee, ankle)
    tilt = 0.75 * math.atan2(knee[2] - ankle[2], knee[1] - ankle[1])
    tilt = max(0.0, tilt) if tilt < 0.9 else tilt
    sign = 1.0 if ankle[0] > 0 else -1.0
    fz, fy = math.cos(tilt), -math.sin(tilt)
    heel = move(ankle, 0, -0.014 * h * fz * length / length, -0.022 * h * fz)
    toe = move(ankle, sign * 0.02 * h, -0.022 * h * fz + 0.1 * h * fy, 0.1 * h * fz)
    return solid(
        heel, toe, (0.026 * h, 0.03 * h, 0.022 * h), (0.026 * h, 0.024 * h, 0.013 * h), SHOE, cap=0.018 * h, front=UP
    )


def arm_joints(person: Person, pose: Pose, k: int, neck: Point) -> tuple[Point, Point, Point]:
    """Shoulder, elbow and wrist on one side."""
    h, sign = person.body.height, 1.0 - 2.0 * k
    swing, bend, apart, inward = pose.arms[k], pose.elbows[k], pose.spread[k], pose.inward[k]
    out = sign * (0.099 * person.body.shoulders * (0.35 + 0.65 * person.body.build) * h + 0.002 * h)
    x, z = turned(out, 0.0, pose.twist)
    shoulder = move(neck, x, -0.034 * h, z)
    upper, lower = 0.172 * h, 0.145 * h
    side = math.sin(apart)
    elbow = move(shoulder, sign * upper * side, -upper * math.cos(swing) * math.cos(apart), upper * math.sin(swing))
    angle = swing + bend
    dx = sign * (0.5 * side - math.sin(inward) * (0.25 + 0.75 * math.sin(min(bend, 1.5))))
    rest = math.sqrt(max(0.05, 1 - dx * dx))
    return shoulder, elbow, move(elbow, lower * dx, -lower * rest * math.cos(angle), lower * rest * math.sin(angle))


def arm(person: Person, joints: tuple[Point, Point, Point]) -> list[list[float]]:
    """Upper arm, forearm and hand of one side, and the sleeve about them."""
    outfit, (shoulder, elbow, wrist) = person.outfit, joints
    h, b = person.body.height, (0.35 + 0.65 * person.body.build) * (0.9 if person.body.female else 1.0)
    upper: Profile = tuple(one * h * b for one in (0.027, 0.032, 0.031, 0.027, 0.025))
    fore: Profile = tuple(one * h * b for one in (0.026, 0.026, 0.023, 0.019, 0.016))
    tip = toward(elbow, wrist, 1.42)
    hand = solid(wrist, tip, (0.018 * h, 0.025 * h, 0.016 * h), (0.014 * h, 0.018 * h, 0.012 * h), SKIN, cap=0.01 * h)
    long, loose = outfit.sleeve > 0.95, outfit.loose * 0.7
    fuzz, folds = 0.03 + outfit.loose, 0.14
    if long:
        cuff = toward(elbow, wrist, 1.05)
        sleeved = tuple(one + loose * g for one, g in zip(upper, (0.5, 0.8, 1, 1, 1), strict=True))
        return [
            solid(shoulder, elbow, sleeved, sleeved, SLEEVE, span=(0.0, 0.54), cap=0.02 * h, folds=folds, fuzz=fuzz, joint=True),
            solid(elbow, cuff, grown(fore, loose), grown(fore, loose), SLEEVE, span=(0.54, 1.0), cap=0.012 * h, folds=folds, fuzz=fuzz, joint=True),
            hand,
        ]  # fmt: skip
    rows = [
        solid(
            toward(shoulder, elbow, 0.12) if outfit.sleeve else shoulder,
            elbow,
            upper,
            upper,
            ARM,
            cap=0.01 * h,
            joint=True,
        ),
        solid(elbow, wrist, fore, fore, ARM, cap=0.012 * h, joint=True),
        hand,
    ]
    if outfit.sleeve > 0:
        end = toward(shoulder, elbow, min(1.0, outfit.sleeve / 0.54))
        wide = (upper[0] + 0.003 + 0.6 * loose, upper[1] + 0.004 + loose, upper[2] + 0.004 + loose * 1.5)
        rows.append(solid(shoulder, end, wide, wide, SLEEVE, span=(0.0, outfit.sleeve), cap=0.02 * h if outfit.sleeve < 0.5 else 0.01,
                          folds=folds, fuzz=fuzz))  # fmt: skip
    if outfit.sleeve > 0.54:
        wide = grown(fore, loose)
        rows.append(
            solid(elbow, toward(elbow, wrist, (outfit.sleeve - 0.54) / 0.46), wide, wide, SLEEVE, cap=0.01, folds=folds)
        )
    return rows


def carried(
    person: Person, pose: Pose, hips: Point, neck: Point, arms: list[tuple[Point, Point, Point]]
) -> list[list[float]]:
    """Bags, a suitcase, an umbrella; straps on the body are drawn on the cloth."""
    h, size, k = person.body.height, person.bag_size, 0 if person.bag_left else 1
    sign, wrist = 1.0 - 2.0 * k, arms[k][2]
    deep = 0.075 * h * (0.35 + 0.65 * person.body.build) + person.outfit.loose
    rows = []
    match person.bag:
        case "backpack":
            low, high = toward(hips, neck, 0.42 - 0.12 * size), toward(hips, neck, 0.96)
            half = 0.06 * h * size
            rows = [solid(move(low, 0, 0, -deep - 0.4 * half), move(high, 0, 0, -deep - 0.25 * half),
                          (0.074 * h * size, 0.078 * h * size, 0.06 * h * size), (half, half, half * 0.6), BAG, cap=0.03 * h, folds=0.08, fuzz=0.03)]  # fmt: skip
        case "shoulder":
            side = move(hips, sign * (0.1 * h * person.body.build + 0.02 * h), -0.03 * h, -0.01 * h)
            rows = [
                solid(
                    side,
                    move(side, 0, 0.13 * h * size, 0),
                    (0.028 * h, 0.03 * h, 0.022 * h),
                    (0.085 * h * size,) * 3,
                    BAG,
                    cap=0.01,
                    folds=0.06,
                )
            ]
            if size <= 0.95:
                rows.append(
                    solid(
                        move(side, 0, 0.1 * h, 0),
                        move(neck, sign * 0.085 * h, 0, 0),
                        (0.008 * h,) * 2,
                        (0.02 * h,) * 2,
                        BAG,
                        span=(0.9, 1.0),
                    )
                )
        case "handbag" | "shopper":
            hang = (0.1 if person.bag == "handbag" else 0.03) * h
            top = move(wrist, 0, -hang, 0.02 * h)
            tall = (0.12 if person.bag == "handbag" else 0.2) * h * size
            rows = [
                solid(
                    move(top, 0, -tall, 0),
                    top,
                    (0.035 * h * size, 0.03 * h, 0.02 * h),
                    (0.085 * h * size, 0.08 * h * size, 0.06 * h * size),
                    BAG,
                    cap=0.012,
                    folds=0.12,
                    fuzz=0.04,
                ),
                solid(
                    top,
                    move(wrist, 0, -0.04 * h, 0.01 * h),
                    (0.005 * h,) * 2,
                    (0.03 * h, 0.012 * h),
                    BAG,
                    span=(0.9, 1.0),
                    cap=0.005,
                ),
            ]
        case "suitcase":
            at = move(hips, sign * 0.17 * h, -hips[1] + 0.03 * h, -0.15 * h)
            rows = [
                solid(at, move(at, 0, 0.3 * h * size, 0), (0.1 * h,) * 3, (0.065 * h,) * 3, BAG, cap=0.02),
                solid(move(at, 0, 0.3 * h, 0), move(wrist, 0, -0.04 * h, 0), (0.008 * h,) * 2, (0.008 * h,) * 2, METAL),
            ]
    if person.umbrella:
        hand = arms[0][2]
        tip = (0.5 * hand[0], neck[1] + 0.42 * h, hand[2])
        rows += [
            solid(hand, tip, (0.005 * h,) * 2, (0.005 * h,) * 2, HAT),
            solid(
                move(tip, 0, -0.12 * h, 0),
                tip,
                (0.3 * h, 0.24 * h, 0.02 * h),
                (0.3 * h, 0.24 * h, 0.02 * h),
                METAL,
                cap=0.005,
                folds=0.1,
            ),
        ]
    return rows  # fmt: skip


def ridden(person: Person, pose: Pose, hips: Point, legs: list[tuple[Point, Point, Point]]) -> list[list[float]]:
    """A bicycle under whoever rides one: wheels of ten pieces each, and a frame."""
    if not pose.riding:
        return []
    h = person.body.height
    radius = 0.19 * h
    ground = min(joints[2][1] for joints in legs) - 0.06 * h
    wheels = [(0.0, ground + radius, z * h) for z in (-0.32, 0.34)]
    bar = (0.0, hips[1] + 0.12 * h, 0.28 * h)
    thin = (0.009 * h,) * 2
    rows = []
    for hub in wheels:
        ring = [
            move(hub, 0, radius * math.sin(a), radius * math.cos(a)) for a in np.linspace(0, 2 * math.pi, 11).tolist()
        ]
        rows += [
            solid(p, q, (0.012 * h,) * 2, (0.012 * h,) * 2, METAL, cap=0.008)
            for p, q in zip(ring, ring[1:], strict=False)
        ]
    crank, seat = (0.0, ground + 0.9 * radius, 0.0), move(hips, 0, -0.06 * h, -0.05 * h)
    frame = [(wheels[0], crank), (crank, bar), (crank, seat), (wheels[0], seat), (wheels[1], bar), (seat, bar)]
    rows += [solid(p, q, thin, thin, BAG) for p, q in frame]
    rows.append(solid(move(bar, -0.15 * h, 0.02 * h, 0), move(bar, 0.15 * h, 0.02 * h, 0), thin, thin, METAL))
    return rows
