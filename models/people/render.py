"""Draws solids with elliptical cross-sections into a picture with a depth buffer. Knows nothing about people.

Each solid has an axis and a width and a depth that vary along it, so one formula covers limbs, torsos, heads, skirts
and bags: a pixel's ray meets an elliptical cylinder in a quadratic equation, its radii taken where the ray passes the
axis. First it is found what is nearest at each pixel; then only that is coloured and lit (deferred shading).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.people.dress import Sheets
from models.people.fabric import grain
from models.people.rays import LOOKUP, paint, shrink, trace
from models.people.solids import Solids
from models.people.style import Style

Rgba = NDArray[np.uint8]  # (h, w, 4)
MARGIN = 8  # rows that are lost when a picture is trimmed, about


@dataclass(frozen=True, slots=True)
class View:
    """From where, and in which light, a person is seen. Angles in radians."""

    yaw: float  # 0 facing the camera, pi walking away
    pitch: float  # camera looking down
    light: tuple[float, float, float]  # direction towards the light
    ambient: float
    roll: float = 0.0
    distance_m: float = 12.0
    warmth: float = 0.0  # of the direct light against the ambient one


def turn(view: View) -> NDArray[np.float64]:
    """Rotation (3, 3) from the person's axes to the camera's: x right, y up, z towards the camera."""
    cy, sy, cp, sp = np.cos(view.yaw), np.sin(view.yaw), np.cos(view.pitch), np.sin(view.pitch)
    cr, sr = np.cos(view.roll), np.sin(view.roll)
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    rotation: NDArray[np.float64] = about_z @ about_x @ about_y
    return rotation


def project(solids: Solids, view: View) -> Solids:
    """Solids in the camera's axes; what is nearer is larger."""
    rotation = turn(view).astype(np.float32)
    placed = solids.copy()
    middle = np.float32(0.5) * (solids[:, 1].min() + solids[:, 1].max())
    ends = solids[:, :6].reshape(-1, 2, 3) - np.array([0, middle, 0], np.float32)
    ends = ends @ rotation.T
    nearer = np.float32(view.distance_m) / (np.float32(view.distance_m) - ends[:, :, 2:])
    ends[:, :, :2] *= nearer
    placed[:, :6] = ends.reshape(-1, 6)
    placed[:, 6:9] = solids[:, 6:9] @ rotation.T
    size = nearer.mean(1)
    placed[:, 9:20] *= size
    return placed


def render(
    solids: Solids, sheets: Sheets, view: View, height: int, style: Style, shift: tuple[float, float] = (0.0, 0.0)
) -> Rgba:
    """The person alone, RGBA (at most height, w, 4), cut out tightly; w follows from the pose.

    `shift` says where the folds of the clothes lie. Edges are smoothed by drawing `style.oversample` times as large.
    """
    placed = project(solids, view)
    reach = placed[:, 9:19].max(1)
    xs, ys = placed[:, [0, 3]], placed[:, [1, 4]]
    left, right = float((xs.min(1) - reach).min()), float((xs.max(1) + reach).max())
    bottom, top = float((ys.min(1) - reach).min()), float((ys.max(1) + reach).max())
    rows = (height + MARGIN) * style.oversample
    scale = rows / (top - bottom)
    columns = int((right - left) * scale) + style.oversample
    columns += -columns % style.oversample
    depth = np.full((rows, columns), -1e9, np.float32)
    which = np.full((rows, columns), -1, np.int16)
    tables = np.empty((len(placed), LOOKUP, 6), np.float32)
    lit = np.zeros((rows, columns, 4), np.float32)
    frame = floats(scale, left, top)
    trace(placed, tables, depth, which, frame, *floats(style.fuzz, shift[0] * 40))
    light = np.array(view.light, np.float32) / np.float32(np.linalg.norm(view.light))
    light = np.append(light, floats(view.ambient, view.warmth))
    cloth = floats(style.folds, style.occlusion, *shift)
    paint(placed, tables, sheets, depth, which, lit, frame, light, cloth, grain(12))
    return trim(shrink(lit, style.oversample), height)


def floats(*values: float) -> tuple[np.float32, ...]:
    """The numbers in the precision of the inner loops."""
    return tuple(np.float32(value) for value in values)


def trim(image: Rgba, height: int) -> Rgba:
    """The part of an image that is not transparent, at most `height` rows."""
    shown = image[..., 3] > 127
    rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
    top, left = int(rows[0]), int(columns[0])
    return image[top : min(int(rows[-1]) + 1, top + height), left : int(columns[-1]) + 1].copy()
