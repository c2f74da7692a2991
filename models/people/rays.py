"""The inner loops of the renderer, compiled with Numba: rays against solids, colour and light, averaging."""

import math

import numpy as np
from numba import njit

LOOKUP = 33  # steps of a solid's profile: half width, half depth, how fast each changes, unevenness on either side


@njit(cache=True, error_model="numpy")
def profile(solid, table, uneven, phase):  # type: ignore[no-untyped-def]
    """Fills (LOOKUP, 6): half width, half depth and their slopes, by Catmull-Rom through the five knots; unevenness."""
    length = max(1e-4, math.sqrt((solid[3] - solid[0]) ** 2 + (solid[4] - solid[1]) ** 2 + (solid[5] - solid[2]) ** 2))
    for column in range(2):
        for i in range(LOOKUP):
            place = i * 4.0 / (LOOKUP - 1)
            k = min(3, int(place))
            t = place - k
            base = 9 + 5 * column
            b, c = solid[base + k], solid[base + k + 1]
            a = solid[base + k - 1] if k > 0 else 2 * b - c
            d = solid[base + k + 2] if k < 3 else 2 * c - b
            value = 0.5 * (
                2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t * t + (3 * b - a - 3 * c + d) * t * t * t
            )
            table[i, column] = max(value, 1e-4)
    for column in range(2):
        for i in range(LOOKUP):
            low, high = max(0, i - 1), min(LOOKUP - 1, i + 1)
            table[i, 2 + column] = (table[high, column] - table[low, column]) / ((high - low) * length / (LOOKUP - 1))
    for i in range(LOOKUP):
        along = i * length / (LOOKUP - 1)
        for side in range(2):
            wave = math.sin(along * 31 + phase + side * 1.3) + 0.6 * math.sin(along * 67 - phase + side * 2)
            table[i, 4 + side] = 1 + uneven * wave


@njit(cache=True, error_model="numpy")
def axes(solid):  # type: ignore[no-untyped-def]
    """Directions along a solid, to its front and to its side, and its length: ten numbers."""
    ax, ay, az = solid[3] - solid[0], solid[4] - solid[1], solid[5] - solid[2]
    length = max(1e-4, math.sqrt(ax * ax + ay * ay + az * az))
    ax, ay, az = ax / length, ay / length, az / length
    fx, fy, fz = solid[6], solid[7], solid[8]
    dot = fx * ax + fy * ay + fz * az
    fx, fy, fz = fx - dot * ax, fy - dot * ay, fz - dot * az
    size = math.sqrt(fx * fx + fy * fy + fz * fz)
    if size < 1e-3:  # the axis itself looks to the front
        fx, fy, fz = -ay * ax, 1 - ay * ay, -ay * az
        size = max(1e-4, math.sqrt(fx * fx + fy * fy + fz * fz))
    fx, fy, fz = fx / size, fy / size, fz / size
    return ax, ay, az, fx, fy, fz, ay * fz - az * fy, az * fx - ax * fz, ax * fy - ay * fx, length


@njit(cache=True, error_model="numpy")
def columns_of(solid, y, reach, columns, frame):  # type: ignore[no-untyped-def]
    """The first column and the one after the last in which a solid can show in the row at height y above its start."""
    scale, left, _ = frame
    zero, one = np.float32(0), np.float32(1)
    rise, run = solid[4] - solid[1], solid[3] - solid[0]
    t0, t1 = zero, one  # the part of the axis that this row can show
    if abs(rise) > np.float32(1e-4):
        t0, t1 = (y - reach) / rise, (y + reach) / rise
        t0, t1 = min(max(min(t0, t1), zero), one), max(min(max(t0, t1), one), zero)
    low, high = min(t0 * run, t1 * run), max(t0 * run, t1 * run)
    first = max(0, int((solid[0] + low - reach - left) * scale))
    return first, min(columns, int((solid[0] + high + reach - left) * scale) + 2)


@njit(cache=True, error_model="numpy")
def meet(x, y, own, table, ratio2, middle, cap):  # type: ignore[no-untyped-def]
    """Where a ray at (x, y) from a solid's start meets it, metres towards the camera, or -2e9 where it misses."""
    ax, ay, az, fx, fy, fz, sx, sy, sz, length = own
    one, miss = np.float32(1), np.float32(-2e9)
    qs, qf, qa = x * sx + y * sy, x * fx + y * fy, x * ax + y * ay
    z = (qs * sz + ratio2 * qf * fz) * middle  # where the ray passes the axis
    along = qa + z * az
    over = max(-along, along - length) * cap
    if over >= one:
        return miss
    place = min(max(along / length, np.float32(0)), one) * np.float32(LOOKUP - 1)
    k = min(int(place), LOOKUP - 2)
    t = place - k
    w = table[k, 0] + t * (table[k + 1, 0] - table[k, 0])
    d = table[k, 1] + t * (table[k + 1, 1] - table[k, 1])
    bump = table[k, 4] if qs > 0 else table[k, 5]
    if over > 0:
        bump *= math.sqrt(one - over * over)
    w, d = w * bump, d * bump
    w2, d2 = one / (w * w), one / (d * d)
    a = max(sz * sz * w2 + fz * fz * d2, np.float32(1e-3))
    b = qs * sz * w2 + qf * fz * d2
    square = b * b - a * (qs * qs * w2 + qf * qf * d2 - one)
    if square <= 0:
        return miss
    return min((-b + math.sqrt(square)) / a, z + np.float32(1.5) * max(w, d) + np.float32(0.05))


@njit(cache=True, error_model="numpy")
def trace(solids, tables, depth, which, frame, fuzz, phase):  # type: ignore[no-untyped-def]
    """Finds what is nearest at each pixel: its depth in metres towards the camera and the number of its solid.

    `frame` is pixels per metre, x of the first column and y of the first row, metres.
    """
    scale, left, top = frame
    rows, columns = depth.shape
    half, one = np.float32(0.5), np.float32(1)
    pixel = one / scale
    for n in range(solids.shape[0]):
        solid, table = solids[n], tables[n]
        profile(solid, table, solid[24] * fuzz, phase + n * 1.7)
        own = axes(solid)
        reach = solid[19]
        for k in range(9, 19):
            reach = max(reach, solid[k] + half * solid[19])
        cap = one / max(np.float32(1e-4), solid[19])
        ratio = solid[11] / max(np.float32(1e-4), solid[16])
        ratio2 = ratio * ratio
        middle = -one / max(own[8] * own[8] + ratio2 * own[5] * own[5], np.float32(0.01))
        r0 = max(0, int((top - max(solid[1], solid[4]) - reach) * scale))
        r1 = min(rows, int((top - min(solid[1], solid[4]) + reach) * scale) + 2)
        for r in range(r0, r1):
            y = top - (r + half) * pixel - solid[1]
            c0, c1 = columns_of(solid, y, reach, columns, frame)
            for c in range(c0, c1):
                x = (c + half) * pixel + left - solid[0]
                near = meet(x, y, own, table, ratio2, middle, cap) + solid[2]
                if near > depth[r, c]:
                    depth[r, c] = near
                    which[r, c] = n


@njit(cache=True, error_model="numpy")
def turns(s, f):  # type: ignore[no-untyped-def]
    """atan2(s, f) in turns from 0 to 1, to about a thousandth."""
    low, high = min(abs(s), abs(f)), max(abs(s), abs(f))
    q = low / max(high, np.float32(1e-9))
    t = q * (np.float32(0.1586) - np.float32(0.0336) * q * q) if q < 2 else q
    if abs(s) > abs(f):
        t = np.float32(0.25) - t
    if f < 0:
        t = np.float32(0.5) - t
    return t if s >= 0 else np.float32(1) - t


@njit(cache=True, error_model="numpy")
def hidden(depth, r, c, scale, light):  # type: ignore[no-untyped-def]
    """How much a pixel lies in corners (0 to 1) and in the shade of something before the light (0 to 1)."""
    rows, columns = depth.shape
    here, dark = depth[r, c], 0.0
    step = max(1, int(0.045 * scale))
    for k in range(6):
        rr = r + (-step if k == 0 else step if k == 1 else (k - 3) * step // 2 if k < 4 else 0)
        cc = c + (0 if k < 2 else (-step if k == 2 else step) if k < 4 else (-2 * step if k == 4 else 2 * step))
        if 0 <= rr < rows and 0 <= cc < columns:
            rise = depth[rr, cc] - here
            if 0.012 < rise < 0.5:
                dark += min(1.0, rise * 14)
    shade = 0.0
    for k in range(1, 5):
        far = 0.05 * k
        rr, cc = int(r - far * light[1] * scale), int(c + far * light[0] * scale)
        if 0 <= rr < rows and 0 <= cc < columns:
            rise = depth[rr, cc] - here - far * light[2]
            if 0.02 < rise < 0.4:
                shade = 1.0
    return dark / 6, shade


@njit(cache=True, error_model="numpy")
def normal(ns, nf, slope_w, slope_d, over, along, frame):  # type: ignore[no-untyped-def]
    """Where a surface faces, in the camera's axes; `over` (0 to 1) is how far it lies in a rounded end."""
    norm = 1 / max(1e-6, math.sqrt(ns * ns + nf * nf))
    ns, nf = ns * norm, nf * norm
    na = -(abs(ns) * slope_w + abs(nf) * slope_d)
    if over > 0:
        na += (1 if along > 0 else -1) * min(over, 0.95) / math.sqrt(1 - min(over, 0.95) ** 2)
    size = 1 / math.sqrt(1 + na * na)
    ns, nf, na = ns * size, nf * size, na * size
    return (
        ns * frame[6] + nf * frame[3] + na * frame[0],
        ns * frame[7] + nf * frame[4] + na * frame[1],
        ns * frame[8] + nf * frame[5] + na * frame[2],
    )


@njit(cache=True, error_model="numpy")
def wrinkle(noise, i, j, share):  # type: ignore[no-untyped-def]
    """How a fold at (j, i) of the noise brightens or darkens the cloth; more near the ends, where limbs bend."""
    cells, bump = noise.shape[0], noise[j, i]
    ends = (2 * share - 1) * (2 * share - 1)
    slope = noise[(j + 4) % cells, (i + 2) % cells] - bump
    return (np.float32(0.4) + np.float32(0.8) * ends) * (1.1 * slope + 0.25 * bump)


@njit(cache=True, error_model="numpy")
def paint(solids, tables, sheets, depth, which, lit, frame, light, cloth, noise):  # type: ignore[no-untyped-def]
    """Colours and lights what was found: fills `lit`, all 0 before, with sRGB (0 to 1) and alpha (0 or 1).

    `frame` as in `trace`; `light` is its direction, its ambient share and its warmth; `cloth` is how deep folds and
    corners are and where folds lie, two numbers.
    """
    scale, left, top = frame
    ambient, warmth = light[3], light[4]
    folds, occlusion, shift_u, shift_v = cloth
    rows, columns = depth.shape
    size = sheets.shape[1]
    cells = noise.shape[0]
    frames = np.empty((solids.shape[0], 10), np.float32)
    for n in range(solids.shape[0]):
        own = axes(solids[n])
        for k in range(10):
            frames[n, k] = own[k]
    corner = np.zeros((columns // 2 + 1, 2), np.float32)  # how hidden a pixel of each pair of columns was
    of = np.empty(columns // 2 + 1, np.int16)  # of which solid
    for r in range(rows):
        if r % 2 == 0:
            of[:] = -1
        y0 = top - (r + np.float32(0.5)) / scale
        for c in range(columns):
            n = which[r, c]
            if n < 0:
                continue
            solid, own, table = solids[n], frames[n], tables[n]
            x, y, z = (c + np.float32(0.5)) / scale + left - solid[0], y0 - solid[1], depth[r, c] - solid[2]
            along = x * own[0] + y * own[1] + z * own[2]
            forth = x * own[3] + y * own[4] + z * own[5]
            across = x * own[6] + y * own[7] + z * own[8]
            share = min(max(along / own[9], 0.0), 1.0)
            k = min(int(share * (LOOKUP - 1) + 0.5), LOOKUP - 1)
            w, d = table[k, 0], table[k, 1]
            s, f = across / w, forth / d
            u = turns(s, f)
            v = solid[21] + (solid[22] - solid[21]) * share
            column = int(u * size) % size
            row = min(size - 1, max(0, int(v * size)))
            over = max(-along, along - own[9]) / max(1e-4, solid[19]) if solid[25] == 0 else np.float32(0)
            nx, ny, nz = normal(s / w, f / d, table[k, 2], table[k, 3], over, along, own)
            crease = 1.0
            if solid[23] > 0 and folds > 0:
                i = int(across * np.float32(190) + forth * np.float32(70) + shift_u * cells + n * 17) % cells
                j = int(along * np.float32(165) + across * np.float32(60) + shift_v * cells + n * 29) % cells
                crease += folds * solid[23] * wrinkle(noise, i, j, share)
            half = c // 2
            if (r % 2 == 1 and of[half] == n) or (c % 2 == 1 and r % 2 == 0 and of[half] == n):
                dark, shade = corner[half, 0], corner[half, 1]
            else:
                dark, shade = hidden(depth, r, c, scale, light)
                corner[half, 0], corner[half, 1], of[half] = dark, shade, n
            sky = ambient * (0.82 + 0.25 * ny) * (1 - 0.75 * occlusion * dark)
            direct = (
                (1 - ambient)
                * 1.25
                * max(0.0, nx * light[0] + ny * light[1] + nz * light[2])
                * (1 - 0.75 * occlusion * shade)
            )
            base = sheets[int(solid[20]), row, column]
            lit[r, c, 0] = base[0] * (1 / 255) * crease * (sky * (1 - 0.5 * warmth) + direct * (1 + warmth))
            lit[r, c, 1] = base[1] * (1 / 255) * crease * (sky + direct)
            lit[r, c, 2] = base[2] * (1 / 255) * crease * (sky * (1 + 0.5 * warmth) + direct * (1 - warmth))
            lit[r, c, 3] = 1


@njit(cache=True, error_model="numpy")
def shrink(lit, oversample):  # type: ignore[no-untyped-def]
    """uint8 RGBA, averaged over oversample² pixels; transparent ones do not darken the edge."""
    rows, columns = lit.shape[0] // oversample, lit.shape[1] // oversample
    out = np.empty((rows, columns, 4), np.uint8)
    for r in range(rows):
        for c in range(columns):
            red = green = blue = alpha = np.float32(0)
            for i in range(oversample):
                for j in range(oversample):
                    pixel = lit[r * oversample + i, c * oversample + j]
                    red, green, blue, alpha = red + pixel[0], green + pixel[1], blue + pixel[2], alpha + pixel[3]
            weight = 255 / max(alpha, np.float32(1))
            out[r, c, 0] = min(255, max(0, int(red * weight + 0.5)))
            out[r, c, 1] = min(255, max(0, int(green * weight + 0.5)))
            out[r, c, 2] = min(255, max(0, int(blue * weight + 0.5)))
            out[r, c, 3] = int(alpha * (255 / (oversample * oversample)) + 0.5)
    return out
