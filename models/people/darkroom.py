"""The inner loops of a camera, compiled with Numba: laying pictures over each other, shadows, light and noise."""

import math

import numpy as np
from numba import njit


@njit(cache=True, error_model="numpy")
def cut_window(scene, canvas, top, left, step):  # type: ignore[no-untyped-def]
    """Fills the canvas from the scene, from (top, left) on, `step` of its pixels for each; mirrored at its edges."""
    rows, columns = scene.shape[:2]
    for r in range(canvas.shape[0]):
        y = abs(int(top + r * step))
        y = y if y < rows else max(0, 2 * rows - 2 - y)
        for c in range(canvas.shape[1]):
            x = abs(int(left + c * step))
            x = x if x < columns else max(0, 2 * columns - 2 - x)
            for k in range(3):
                canvas[r, c, k] = scene[y, x, k]


@njit(cache=True, error_model="numpy")
def paste(canvas, cutout, top, left, scale, light):  # type: ignore[no-untyped-def]
    """Lays a cut-out over the canvas, its corner at (top, left), `scale` times as large, `light` times as bright."""
    rows, columns = int(cutout.shape[0] * scale), int(cutout.shape[1] * scale)
    back = np.float32(1) / np.float32(scale)
    gain = int(light * 256)
    for r in range(max(0, top), min(canvas.shape[0], top + rows)):
        y = min(cutout.shape[0] - 1, int((r - top + np.float32(0.5)) * back))
        for c in range(max(0, left), min(canvas.shape[1], left + columns)):
            x = min(cutout.shape[1] - 1, int((c - left + np.float32(0.5)) * back))
            alpha = int(cutout[y, x, 3])
            if alpha == 0:
                continue
            for k in range(3):
                under = int(canvas[r, c, k])
                over = min(255, (int(cutout[y, x, k]) * gain) >> 8)
                canvas[r, c, k] = under + (alpha * (over - under)) // 255


@njit(cache=True, error_model="numpy")
def cast_shadow(canvas, cutout, top, left, along, down, dark):  # type: ignore[no-untyped-def]
    """Darkens the ground: soft under the feet, and the person's shape laid along the ground.

    A point of the person h rows above the feet throws its shadow h·along columns aside and h·down rows below the feet.
    """
    rows, columns = cutout.shape[:2]
    feet, middle = top + rows - 2, left + columns * 0.5
    near_wide, near_tall = columns * 0.55, rows * 0.035
    for r in range(max(0, int(feet - rows * 0.6)), canvas.shape[0]):
        dy = (r - feet) / near_tall
        for c in range(canvas.shape[1]):
            dx = (c - middle) / near_wide
            far = dx * dx + dy * dy
            shade = dark * 0.6 * (1 - far) if far < 1 else 0.0
            if abs(down) > 0.03:
                h = (r - feet) / down
                if 0 < h < rows:
                    y, x = int(rows - 1 - h), int(c - left - h * along)
                    if 0 <= x < columns and cutout[y, x, 3] > 127:
                        shade = max(shade, dark)
            if shade > 0:
                for k in range(3):
                    canvas[r, c, k] = int(canvas[r, c, k] * (1 - shade))


@njit(cache=True, error_model="numpy")
def develop(image, matrix, curves, slope_down, slope_right, grain, noise, offset, out):  # type: ignore[no-untyped-def]
    """Colours mixed by a matrix (3, 3), light that falls across the picture, a curve for each colour, and noise.

    `curves` is (3, 512): the value for each half grey level up to 255, scaled to 0 … 255. `grain` holds normal numbers.
    """
    rows, columns = image.shape[:2]
    size = grain.size
    at = offset
    for r in range(rows):
        fall_r = np.float32(1 + slope_down * ((r + 0.5) / rows - 0.5))
        for c in range(columns):
            fall = fall_r + np.float32(slope_right * ((c + 0.5) / columns - 0.5))
            red, green, blue = np.float32(image[r, c, 0]), np.float32(image[r, c, 1]), np.float32(image[r, c, 2])
            for k in range(3):
                value = (matrix[k, 0] * red + matrix[k, 1] * green + matrix[k, 2] * blue) * fall
                step = min(511, max(0, int(value * 2)))
                shown = curves[k, step] + noise * grain[at]
                at += 1
                if at >= size:
                    at = 0
                out[r, c, k] = int(min(np.float32(255), max(np.float32(0), shown + np.float32(0.5))))


@njit(cache=True, error_model="numpy")
def smear(image, pixels, angle):  # type: ignore[no-untyped-def]
    """Motion blur: the mean along a line of so many pixels."""
    rows, columns = image.shape[:2]
    out = np.empty_like(image)
    steps = max(2, math.ceil(pixels) + 1)
    for r in range(rows):
        for c in range(columns):
            total = np.zeros(3, np.float32)
            for n in range(steps):
                far = pixels * (n / (steps - 1) - 0.5)
                y = min(rows - 1, max(0, int(r + far * math.sin(angle) + 0.5)))
                x = min(columns - 1, max(0, int(c + far * math.cos(angle) + 0.5)))
                for k in range(3):
                    total[k] += image[y, x, k]
            for k in range(3):
                out[r, c, k] = int(total[k] / steps)
    return out
