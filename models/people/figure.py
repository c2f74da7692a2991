"""Puts a person in a pose together from about 30 solids: torso, head, limbs, clothes, hair and bag."""

import math

import numpy as np

from models.people.belongings import carried, ridden
from models.people.dress import HAT, HIPS, SKIN, SKIRT, SLEEVE, TORSO
from models.people.heads import head
from models.people.limbs import arm, arm_joints, leg, leg_joints
from models.people.person import Person
from models.people.pose import Pose
from models.people.solids import Look, Point, Profile, Solids, move, solid, times, tube, turned


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
    rows = [solid(low, top, width, depth, 0.012 * h, Look(TORSO, folds=folds, fuzz=fuzz), (sx * 0.6, 0, sz))]
    return rows + pelvis_and_neck(person, hips, neck) + about_neck(person, neck)


def pelvis_and_neck(person: Person, hips: Point, neck: Point) -> list[list[float]]:
    """What joins the torso to the legs and to the head."""
    body, outfit = person.body, person.outfit
    h, b = body.height, 0.35 + 0.65 * body.build
    hip = 0.094 * h * b * body.hips * (0.9 if outfit.hem >= 0 else 1.09)  # over the top where that is tucked in
    low, high = move(hips, 0, -0.05 * h, 0), move(hips, 0, 0.06 * h, 0)
    width, depth = times((0.92, 1, 0.86), hip), times((0.78, 0.82, 0.7), hip)
    throat, nape = move(neck, 0, -0.01 * h, 0), move(neck, 0, 0.06 * h, 0.012 * h)
    return [
        solid(low, high, width, depth, 0.02, Look(HIPS, folds=0.08, fuzz=0.02)),
        solid(throat, nape, (0.036 * h, 0.032 * h), (0.038 * h, 0.034 * h), 0.02, Look(SKIN)),
    ]


def about_neck(person: Person, neck: Point) -> list[list[float]]:
    """A collar or a hood that hangs down, and a scarf."""
    outfit, h = person.outfit, person.body.height
    rows = []
    if outfit.top in ("hoodie", "coat", "jacket", "shirt", "puffer") and person.head.hat != "hood":
        high = {"hoodie": 0.03, "puffer": 0.045, "coat": 0.04}.get(outfit.top, 0.025) * h
        back = -0.025 * h if outfit.top == "hoodie" else -0.008 * h
        low, top = move(neck, 0, -0.01 * h, back), move(neck, 0, high, back)
        width, depth = (0.06 * h, 0.046 * h), (0.056 * h, 0.046 * h)
        rows.append(solid(low, top, width, depth, 0.012 * h, Look(SLEEVE, (0.05, 0.3), 0.1)))
    if outfit.scarf:
        low, top = move(neck, 0, 0.0, 0.006 * h), move(neck, 0, 0.04 * h, 0.006 * h)
        rows.append(tube(low, top, (0.062 * h, 0.055 * h), 0.015 * h, Look(HAT, folds=0.2, fuzz=0.06)))
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
        waist, hem = move(hips, 0, 0.07 * h, 0), move(hips, 0, -length, 0.8 * centre)
        width = (hip * 0.86 + loose, hip * 1.03 + loose, wide)
        depth = (hip * 0.7 + loose, hip * 0.88 + loose, deep)
        look = Look(layer, (0.0, 1.0) if layer == SKIRT else (0.02, 0.0), 0.14, 0.03)
        rows.append(solid(waist, hem, width, depth, 0.008, look))
    return rows
