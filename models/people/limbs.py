"""Legs and arms, with the cloth about them."""

import math
from dataclasses import replace

from models.people.dress import ARM, LEG, SHIN, SHOE, SKIN, SLEEVE
from models.people.person import Person
from models.people.pose import Pose
from models.people.solids import UP, Look, Point, Profile, grown, move, solid, times, toward, tube, turned


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
    cloth = Look(layer, (0.0, 0.5), folds, fuzz, joint=True)
    rows = [tube(hip, knee, thigh, 0.03 * h, cloth)]
    if bare or outfit.length >= 0.97:
        rows.append(tube(knee, ankle, calf, 0.02 * h, replace(cloth, span=(0.5, 1.0))))
    else:
        thin = times(grown(calf, -outfit.width), 0.9)[2:]
        hem, skin = (toward(knee, ankle, 2 * outfit.length - cut) for cut in (1.0, 1.05))
        rows.append(tube(knee, hem, calf, 0.005, Look(LEG, (0.5, 1.0), folds, fuzz)))
        rows.append(tube(skin, ankle, thin, 0.005, Look(SKIN)))
    return [*rows, *over_leg(person, joints, 0.055 * h * b + outfit.width, calf), foot(person, knee, ankle)]


def over_leg(person: Person, joints: tuple[Point, Point, Point], wide: float, calf: Profile) -> list[list[float]]:
    """A leg of shorts, `wide` metres in radius, and a boot."""
    outfit, (hip, knee, ankle) = person.outfit, joints
    rows = []
    if outfit.bottom == "shorts":
        hem = toward(hip, knee, min(1.0, 2 * outfit.length))
        rows.append(tube(hip, hem, (wide, wide, wide * 0.94), 0.006, Look(LEG, (0.0, outfit.length), 0.14, 0.04)))
    if outfit.boots and outfit.bottom in ("shorts", "skirt", "leggings"):
        top = toward(ankle, knee, min(0.9, 2 * outfit.boots))
        rows.append(tube(top, ankle, grown(calf, 0.006), 0.01, Look(SHOE, (0.2, 0.3), 0.05)))
    return rows


def foot(person: Person, knee: Point, ankle: Point) -> list[float]:
    """A shoe: its sole at right angles to the shin when the foot is lifted, flat otherwise."""
    h = person.body.height
    tilt = 0.75 * math.atan2(knee[2] - ankle[2], knee[1] - ankle[1])
    tilt = max(0.0, tilt) if tilt < 0.9 else tilt
    sign = 1.0 if ankle[0] > 0 else -1.0
    fz, fy = math.cos(tilt), -math.sin(tilt)
    heel = move(ankle, 0, -0.014 * h * fz, -0.022 * h * fz)
    toe = move(ankle, sign * 0.02 * h, -0.022 * h * fz + 0.1 * h * fy, 0.1 * h * fz)
    width, depth = (0.026 * h, 0.03 * h, 0.022 * h), (0.026 * h, 0.024 * h, 0.013 * h)
    return solid(heel, toe, width, depth, 0.018 * h, Look(SHOE), UP)


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
    tip, loose = toward(elbow, wrist, 1.42), outfit.loose * 0.7
    width, depth = (0.018 * h, 0.025 * h, 0.016 * h), (0.014 * h, 0.018 * h, 0.012 * h)
    hand = solid(wrist, tip, width, depth, 0.01 * h, Look(SKIN))
    cloth = Look(SLEEVE, (0.0, 0.54), 0.14, 0.03 + outfit.loose, joint=True)
    if outfit.sleeve > 0.95:
        sleeved = tuple(one + loose * g for one, g in zip(upper, (0.5, 0.8, 1, 1, 1), strict=True))
        cuff = toward(elbow, wrist, 1.05)
        return [
            tube(shoulder, elbow, sleeved, 0.02 * h, cloth),
            tube(elbow, cuff, grown(fore, loose), 0.012 * h, replace(cloth, span=(0.54, 1.0))),
            hand,
        ]
    bare = Look(ARM, joint=True)
    start = toward(shoulder, elbow, 0.12) if outfit.sleeve else shoulder
    rows = [tube(start, elbow, upper, 0.01 * h, bare), tube(elbow, wrist, fore, 0.012 * h, bare), hand]
    if outfit.sleeve > 0:
        end = toward(shoulder, elbow, min(1.0, outfit.sleeve / 0.54))
        wide = (upper[0] + 0.003 + 0.6 * loose, upper[1] + 0.004 + loose, upper[2] + 0.004 + loose * 1.5)
        cap = 0.02 * h if outfit.sleeve < 0.5 else 0.01
        rows.append(tube(shoulder, end, wide, cap, replace(cloth, span=(0.0, outfit.sleeve), joint=False)))
    if outfit.sleeve > 0.54:
        end = toward(elbow, wrist, (outfit.sleeve - 0.54) / 0.46)
        rows.append(tube(elbow, end, grown(fore, loose), 0.01, Look(SLEEVE, folds=0.14)))
    return rows
