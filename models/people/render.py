"""Draws solids with elliptical cross-sections into a picture with a depth buffer. Knows nothing about people.

Each solid has an axis and a radius that varies along it, so one formula covers limbs, torsos, heads, skirts and bags:
a pixel's ray meets an elliptical cylinder in a quadratic equation, its radius taken at the nearest point of the axis.
Plain NumPy draws about 160 people a second and core, so a training set takes a minute; nothing faster is needed.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.people.fabric import Colour, Fabric, Floats, paint

Vector = NDArray[np.float64]  # (3,) metres: x to the person's left, y up, z to the front
Rgba = NDArray[np.uint8]  # (h, w, 4)
MARGIN = 8  # rows that are lost when a picture is trimmed, about


@dataclass(frozen=True, slots=True)
class Solid:
    """A limb or a piece of clothing between two points, in metres, covered by a fabric."""

    start: Vector
    end: Vector
    radii: tuple[float, float, float]  # at start, middle and end, sideways
    fabric: Fabric
    depth: float = 1.0  # radius front to back over radius sideways
    cap: float = 0.02  # length of the rounded ends
    front: Vector = field(default_factory=lambda: np.array([0.0, 0.01, 1.0]))  # where angle 0 looks
    under: Colour | None = None  # shows beyond `covered` metres from the start, as the arm below a short sleeve
    covered: float = 0.0


@dataclass(frozen=True, slots=True)
class View:
    """From where, and in which light, a person is seen. Angles in radians."""

    yaw: float  # 0 facing the camera, pi walking away
    pitch: float  # camera looking down
    light: tuple[float, float, float]  # direction towards the light
    ambient: float


@dataclass(frozen=True, slots=True)
class Canvas:
    """What is drawn on: pixels and, behind each, how near the surface is that it shows."""

    colour: Floats  # (rows, columns, 4) RGBA, 0 to 1
    nearest: Floats  # (rows, columns) metres towards the camera
    scale: float  # pixels per metre
    left: float  # x of the first column, metres
    top: float  # y of the first row, metres


@dataclass(frozen=True, slots=True)
class Axes:
    """A solid's own directions in the camera's axes, unit vectors: along its axis, to its side and to its front."""

    along: Vector
    side: Vector
    front: Vector
    length: float  # metres


def turn(view: View) -> NDArray[np.float64]:
    """The rotation (3, 3) from the person's axes to the camera's: x right, y up, z towards the camera."""
    cy, sy, cp, sp = np.cos(view.yaw), np.sin(view.yaw), np.cos(view.pitch), np.sin(view.pitch)
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    rotation: NDArray[np.float64] = about_x @ about_y
    return rotation


def render(solids: list[Solid], view: View, height: int, oversample: int = 2) -> Rgba:
    """The person alone, RGBA (at most height, w, 4), cut out tightly; w follows from the pose.

    Edges are smoothed by drawing `oversample` times as large.
    """
    rotation = turn(view)
    ends = np.array([[s.start, s.end] for s in solids]) @ rotation.T  # (n, 2, 3)
    reach = np.array([max(s.radii) for s in solids])
    low = (ends.min(1) - reach[:, None]).min(0)
    high = (ends.max(1) + reach[:, None]).max(0)
    rows = (height + MARGIN) * oversample
    scale = rows / (high[1] - low[1])
    columns = int(np.ceil((high[0] - low[0]) * scale)) + oversample
    canvas = Canvas(
        np.zeros((rows, columns, 4), np.float32), np.full((rows, columns), -np.inf, np.float32), scale, low[0], high[1]
    )
    for solid, (start, end) in zip(solids, ends, strict=True):
        draw(solid, start, axes_of(start, end, rotation @ solid.front), view, canvas)
    return trim(shrink(canvas.colour, oversample), height)


def axes_of(start: Vector, end: Vector, front: Vector) -> Axes:
    """The directions of a solid from start to end (camera's axes) whose angle 0 looks to `front`, as far as it can."""
    length = max(float(np.linalg.norm(end - start)), 1e-6)
    along = (end - start) / length
    front = front - (front @ along) * along
    front = front / np.linalg.norm(front)
    return Axes(along, np.cross(along, front), front, length)


def draw(solid: Solid, start: Vector, axes: Axes, view: View, canvas: Canvas) -> None:
    """Draws one solid, where nothing nearer has been drawn."""
    r0, r1, c0, c1 = bounds(solid, start, axes, canvas)
    x = ((np.arange(c0, c1) + 0.5) / canvas.scale + canvas.left - start[0]).astype(np.float32)[None, :]
    y = (canvas.top - (np.arange(r0, r1) + 0.5) / canvas.scale - start[1]).astype(np.float32)[:, None]
    directions = (axes.side, axes.front / solid.depth, axes.along)
    # a ray is q + z·d in the solid's own axes: to the side (s), to the front in units of its depth (f), along (a)
    qs, qf, qa = (x * np.float32(v[0]) + y * np.float32(v[1]) for v in directions)
    ds, df, da = (np.float32(v[2]) for v in directions)
    a = max(ds * ds + df * df, np.float32(0.02))
    b = qs * ds + qf * df
    middle = -b / a  # depth at which the ray passes the axis
    radius = radius_at(solid, qa + middle * da, axes.length)
    square = b * b - a * (qs * qs + qf * qf - radius * radius)
    z = middle + np.sqrt(np.maximum(square, 0)) / a
    depth = z + np.float32(start[2])
    nearest = canvas.nearest[r0:r1, c0:c1]
    rows, columns = np.nonzero((square > 0) & (radius > 0) & (depth > nearest))
    if not len(rows):
        return
    nearest[rows, columns] = depth[rows, columns]
    z = z[rows, columns]
    across, forth, far = qs[rows, columns] + z * ds, qf[rows, columns] + z * df, qa[rows, columns] + z * da
    shown = paint(solid.fabric, np.arctan2(across, forth), far, axes.length)
    if solid.under is not None:
        shown = np.where((far > solid.covered)[:, None], np.array(solid.under, np.float32), shown)
    pixels = canvas.colour[r0:r1, c0:c1]
    pixels[rows, columns, :3] = shown * shade(across, forth / np.float32(solid.depth), axes, view)[:, None]
    pixels[rows, columns, 3] = 1


def bounds(solid: Solid, start: Vector, axes: Axes, canvas: Canvas) -> tuple[int, int, int, int]:
    """The part of the canvas that a solid can touch: first row, row after the last, the same for columns."""
    end = start + axes.along * axes.length
    reach = max(solid.radii) + solid.cap
    left, right = (min(start[0], end[0]) - reach - canvas.left, max(start[0], end[0]) + reach - canvas.left)
    top, bottom = (canvas.top - max(start[1], end[1]) - reach, canvas.top - min(start[1], end[1]) + reach)
    rows, columns = canvas.nearest.shape
    return (
        max(int(top * canvas.scale), 0),
        min(int(bottom * canvas.scale) + 1, rows),
        max(int(left * canvas.scale), 0),
        min(int(right * canvas.scale) + 1, columns),
    )


def radius_at(solid: Solid, along: Floats, length: float) -> Floats:
    """Radius sideways at `along` metres from the start: a parabola through the radii, round beyond the ends, then 0."""
    first, middle, last = solid.radii
    t = np.clip(along / np.float32(length), 0, 1)
    bend, slope = np.float32(2 * first - 4 * middle + 2 * last), np.float32(4 * middle - 3 * first - last)
    over = np.maximum(-along, along - np.float32(length)) / np.float32(solid.cap)
    ends = np.sqrt(np.clip(1 - np.maximum(over, 0) ** 2, 0, 1))
    radius: Floats = ((bend * t + slope) * t + np.float32(first)) * ends
    return radius


def shade(across: Floats, forth: Floats, axes: Axes, view: View) -> Floats:
    """Brightness (n,) of a surface facing across·side + forth·front: ambient light and Lambert's law."""
    light = np.array(view.light)
    light = light / np.linalg.norm(light)
    size = np.sqrt(across * across + forth * forth) + np.float32(1e-6)
    facing = (across * np.float32(axes.side @ light) + forth * np.float32(axes.front @ light)) / size
    brightness: Floats = np.float32(view.ambient) + np.float32(1 - view.ambient) * np.maximum(facing, 0)
    return brightness


def shrink(colour: Floats, oversample: int) -> Rgba:
    """RGBA float (rows, columns, 4) averaged over oversample² pixels; transparent pixels do not darken the edge."""
    rows, columns = colour.shape[0] // oversample, colour.shape[1] // oversample
    blocks = colour[: rows * oversample, : columns * oversample].reshape(rows, oversample, columns, oversample, 4)
    mean = blocks.mean((1, 3))
    mean[..., :3] /= np.maximum(mean[..., 3:], 1e-6)
    return np.asarray(np.clip(mean, 0, 1) * 255 + 0.5).astype(np.uint8)


def trim(image: Rgba, height: int) -> Rgba:
    """The part of an image that is not transparent, at most `height` rows."""
    rows, columns = np.nonzero(image[..., 3] > 127)
    top, left = int(rows.min()), int(columns.min())
    return image[top : min(int(rows.max()) + 1, top + height), left : int(columns.max()) + 1].copy()
