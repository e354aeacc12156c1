"""Line integrals of soft tissue, lung and air along every ray, in closed form.

    body thickness                                    mu soft
      minus  lung  = inner cavity \\ (dome, mediastinum, spine, aorta, heart, ...)   mu lung
      minus  pleural air, gastric gas                                              mu 0
      plus   lesions inside the aerated lung, haze, breasts, arms

A ray intersects each solid in one interval of depth Y; the path in the lung is the cavity minus the
union of these intervals. The pleural space is the shell between cavity and lung, with its width in
the table: scar and supine fluid are soft tissue, air is a pneumothorax. Erect fluid fills the
cavity up to a level. Cross-sections are superellipses, one table row per mm (columns.py).
"""

from __future__ import annotations

import numpy as np

from lapse.phantom.rendering.kernels import Floats, Integers, Singles, compiled

Z_LOW, Z_ROWS = -360.0, 640  # the table starts 360 mm below the carina
MU_SOFT, MU_LUNG = 0.0185, 0.0046  # per mm, near 70 keV
BODY_POWER, CAVITY_POWER = 2.5, 2.35
RIM = 256  # steps of the lookup table of superellipses
TILE_MM = 2.0  # mm per cell of the texture tile
AORTA_Y, SPINE_Y = -48.0, -62.0
TABLE_Y = -12.0  # the depth at which the height of a ray selects the row of the table


@compiled
def sample(tile: Singles, x: float, z: float) -> float:
    """The periodic texture at a position in mm, by bilinear interpolation."""
    mask = tile.shape[0] - 1  # the size is a power of two
    u, v = x / TILE_MM, z / TILE_MM
    c, r = int(np.floor(u)), int(np.floor(v))
    fu, fv = u - c, v - r
    c0, r0 = c & mask, r & mask
    c1, r1 = (c + 1) & mask, (r + 1) & mask
    top = tile[r0, c0] * (1 - fu) + tile[r0, c1] * fu
    low = tile[r1, c0] * (1 - fu) + tile[r1, c1] * fu
    return float(top * (1 - fv) + low * fv)


@compiled
def profile(rims: Floats, which: int, fraction: float) -> float:
    """The half depth of a superellipse at a fraction of its half width, from the lookup table."""
    position = RIM * np.sqrt(1.0 - fraction)
    low = int(position)
    return float(rims[which, low] + (position - low) * (rims[which, low + 1] - rims[which, low]))


@compiled
def ball(
    x0: float, kx: float, z0: float, kz: float, solids: Floats, i: int, reach: float
) -> tuple[float, float, float]:
    """Intersection of a ray with ellipsoid `i`: first and last depth, squared relative distance.

    A row is (x, y, z, three half axes, cosine and sine of the rotation in the frontal plane, ...).
    Rays at more than `reach` times the size from the centre are skipped.
    """
    y0 = solids[i, 1]
    x, z = x0 + kx * y0 - solids[i, 0], z0 + kz * y0 - solids[i, 2]
    wide, tall = solids[i, 3], solids[i, 5]
    co, si = solids[i, 6], solids[i, 7]
    if abs(x) > reach * (abs(co) * wide + abs(si) * tall):
        return y0, y0, 9.0
    if abs(z) > reach * (abs(si) * wide + abs(co) * tall):
        return y0, y0, 9.0
    p0, q0 = (co * x - si * z) / wide, (si * x + co * z) / tall
    p1, q1 = (co * kx - si * kz) / wide, (si * kx + co * kz) / tall
    d1 = 1.0 / solids[i, 4]
    a = p1 * p1 + q1 * q1 + d1 * d1
    b = p0 * p1 + q0 * q1
    least = p0 * p0 + q0 * q0 - b * b / a
    middle = y0 - b / a
    if least >= 1.0:
        return middle, middle, least
    half = np.sqrt((1.0 - least) / a)
    return middle - half, middle + half, least


@compiled
def _solids_in_row(beams: Floats, r: int, solids: Floats, out: Integers) -> int:
    """Write (index, first column, last column) of the solids in a row to `out`; their number."""
    last = beams.shape[1] - 1
    low, high = 1e9, -1e9
    for c in (0, last // 2, last):
        for y in (-150.0, 150.0):
            z = beams[r, c, 2] + y * beams[r, c, 3]
            low, high = min(low, z - 12.0), max(high, z + 12.0)  # margin for the warp
    count = 0
    for k in range(solids.shape[0]):
        y, co, si = solids[k, 1], abs(solids[k, 6]), abs(solids[k, 7])
        tall = 1.1 * (si * solids[k, 3] + co * solids[k, 5])
        if solids[k, 2] + tall >= low and solids[k, 2] - tall <= high:
            wide = 1.1 * (co * solids[k, 3] + si * solids[k, 5]) + 16.0
            x0, x1 = beams[r, 0, 0] + y * beams[r, 0, 1], beams[r, last, 0] + y * beams[r, last, 1]
            a = (solids[k, 0] - wide - x0) / (x1 - x0) * last
            b = (solids[k, 0] + wide - x0) / (x1 - x0) * last
            out[count, 0], out[count, 1], out[count, 2] = k, int(min(a, b)), int(max(a, b))
            count += 1
    return count


@compiled
def _dome_end(
    x0: float, kx: float, z0: float, kz: float, domes: Floats, side: int, radius: float
) -> float:
    """One end of the interval below a dome: anterior, or posterior for a negative radius."""
    depth = domes[side, 1]
    for _ in range(2):
        x = x0 + kx * depth - domes[side, 0]
        is_lateral = x * domes[side, 7] > 0
        drop = x * x / (2 * (domes[side, 3] if is_lateral else domes[side, 4]))
        below = domes[side, 2] - drop - (z0 + kz * depth)
        if below <= 0.0:
            return float(domes[side, 1])
        reach = np.sqrt(2 * below * abs(radius))
        depth = domes[side, 1] + (reach if radius > 0.0 else -reach)
    return float(depth)


@compiled
def _lung_half(table: Floats, row: int, side: int) -> float:
    """Half width of the lung: the cavity minus the pleural space."""
    return float(table[row, 3 + side] - table[row, 16 + side] - table[row, 18 + side])


@compiled
def left_over(first: float, last: float, cuts: Floats, count: int) -> float:
    """The length of [first, last] outside of the union of `count` intervals."""
    for i in range(1, count):  # insertion sort by start, for few intervals
        a, b = cuts[i, 0], cuts[i, 1]
        j = i - 1
        while j >= 0 and cuts[j, 0] > a:
            cuts[j + 1, 0], cuts[j + 1, 1] = cuts[j, 0], cuts[j, 1]
            j -= 1
        cuts[j + 1, 0], cuts[j + 1, 1] = a, b
    free, end = 0.0, first
    for i in range(count):
        if cuts[i, 0] > end:
            free += max(0.0, min(cuts[i, 0], last) - end)
        end = max(end, cuts[i, 1])
        if end >= last:
            return free
    return free + max(0.0, last - end)


@compiled
def soft_tissue(
    beams: Floats,
    table: Floats,
    hearts: Floats,
    domes: Floats,
    extras: Floats,
    gases: Floats,
    lesions: Floats,
    tile: Singles,
    params: Floats,
) -> Singles:
    """Line integrals of soft tissue, fraction of aerated lung, fraction of solid lung. # [3, H, W]

    `extras` are ellipsoids with a value: above 0 added to the body, below 0 united with it.
    `lesions` are rows of LesionBody values. `params` are: texture offset x, z; lung density right,
    left; haze right, left; hilum x, z right, left; mm per pixel; strength of the lung texture;
    basal density; fluid level right, left; meniscus right, left (0: a level top).
    """
    height, width = beams.shape[0], beams.shape[1]
    out = np.zeros((3, height, width), dtype=np.float32)
    cuts = np.empty((8 + hearts.shape[0], 2))
    rims = np.empty((2, RIM + 2))
    for k in range(RIM + 2):
        fraction = max(0.0, 1.0 - (k / RIM) ** 2)
        rims[0, k] = (1.0 - fraction**BODY_POWER) ** (1.0 / BODY_POWER)
        rims[1, k] = (1.0 - fraction**CAVITY_POWER) ** (1.0 / CAVITY_POWER)
    t = np.empty(table.shape[1])
    pixel = params[10]
    near_hearts = np.empty((hearts.shape[0], 3), dtype=np.int64)
    near_extras = np.empty((extras.shape[0], 3), dtype=np.int64)
    for r in range(height):
        num_hearts = _solids_in_row(beams, r, hearts, near_hearts)
        num_extras = _solids_in_row(beams, r, extras, near_extras)
        for c in range(width):
            x0, kx, z0, kz = beams[r, c, 0], beams[r, c, 1], beams[r, c, 2], beams[r, c, 3]
            z = z0 + TABLE_Y * kz
            position = min(max(z - Z_LOW, 0.0), Z_ROWS - 2.0)
            low = int(position)
            part = position - low
            for k in range(3):
                t[k] = table[low, k] + part * (table[low + 1, k] - table[low, k])
            # the body
            x = x0 + kx * t[2]
            fraction = abs(x) / t[0]
            thick = 0.0
            if fraction < 1.0:
                thick = 2 * t[1] * profile(rims, 0, fraction)
            added = 0.0
            for i in range(num_extras):
                k = near_extras[i, 0]
                if c < near_extras[i, 1] or c > near_extras[i, 2]:
                    continue
                near, far, least = ball(x0, kx, z0, kz, extras, k, 1.1)
                if far > near:
                    if extras[k, 8] < 0.0:
                        thick = max(thick, far - near)
                    else:
                        added += extras[k, 8] * (far - near) * np.sqrt(1.0 - least)
            total = thick + added
            if total <= 0.0:
                continue
            streaks = sample(tile, x0 * 1.7 + params[0], z0 * 1.1 + params[1])
            integral = MU_SOFT * total * (1.0 + 0.014 * streaks)
            # the chest cavity of one side
            for k in range(3, table.shape[1]):
                t[k] = table[low, k] + part * (table[low + 1, k] - table[low, k])
            middle = t[7]
            x = x0 + kx * t[6] - middle
            side = 0 if x < 0.0 else 1
            x = abs(x)
            wall = t[3 + side]
            if wall > 1.0 and x < wall:
                fluid, air = t[16 + side], t[18 + side]
                inner_w, inner_d = wall - fluid, t[5] - fluid
                mid_y = t[6]
                if inner_w > 0.5 and inner_d > 0.5 and x < inner_w:
                    half = inner_d * profile(rims, 1, x / inner_w)
                    first, last = mid_y - half + t[20 + side], mid_y + half
                    count = 0
                    a = _dome_end(x0, kx, z0, kz, domes, side, -domes[side, 5])
                    b = _dome_end(x0, kx, z0, kz, domes, side, domes[side, 6])
                    if b > a:
                        cuts[count, 0], cuts[count, 1] = a, b
                        count += 1
                    # mediastinum, aorta and spine: vertical cylinders
                    span = 0.5 * (t[8] + t[9])
                    xm = x0 + kx * t[11] - middle - 0.5 * (t[9] - t[8])
                    fraction = (xm / span) ** 2
                    if fraction < 1.0:
                        half = t[10] * (1.0 - fraction)
                        cuts[count, 0], cuts[count, 1] = t[11] - half, t[11] + half
                        count += 1
                    xm = x0 + kx * AORTA_Y - t[12]
                    if abs(xm) < t[13]:
                        half = np.sqrt(t[13] * t[13] - xm * xm)
                        cuts[count, 0], cuts[count, 1] = AORTA_Y - half, AORTA_Y + half
                        count += 1
                    xm = x0 + kx * SPINE_Y - t[14]
                    if abs(xm) < t[15]:
                        half = 22.0 * (1.0 - (xm / t[15]) ** 2)
                        cuts[count, 0], cuts[count, 1] = SPINE_Y - 1.3 * half, SPINE_Y + half
                        count += 1
                    for i in range(num_hearts):
                        if c < near_hearts[i, 1] or c > near_hearts[i, 2]:
                            continue
                        a, b, least = ball(x0, kx, z0, kz, hearts, near_hearts[i, 0], 1.1)
                        if b > a:  # cardiac motion blurs the edge
                            inset = 0.5 * (b - a) * (1.0 - np.sqrt(np.sqrt(1.0 - least)))
                            cuts[count, 0], cuts[count, 1] = a + inset, b - inset
                            count += 1
                    free = left_over(first, last, cuts, count) if last > first else 0.0
                    free *= min(1.0, (x + 3.0) / 36.0)  # the lungs are thinner near the midline
                    level = params[13 + side]
                    if level > -1e8:  # fluid level with a meniscus at the walls
                        meniscus = params[15 + side]
                        if meniscus > 0.0:
                            rise = meniscus * np.exp((x - wall) / 30.0)
                            rise += 0.3 * meniscus * np.exp(-x / 24.0)
                            above = min(1.0, max(0.0, 0.3 + (z - level - rise) / 62.0))
                        else:
                            rise = 17.0 * np.exp((x - wall) / 15.0) + 6.0 * np.exp(-x / 22.0)
                            above = min(1.0, max(0.0, 0.5 + (z - level - rise) / 30.0))
                        free *= above * above * (3.0 - 2.0 * above)
                    lung = free
                    full = max(last - first, 1.0)
                    line = 0.0
                    if air > 0.3 and free > 0.0:
                        w2, d2 = inner_w - air, inner_d - air
                        lung = 0.0
                        if w2 > 0.5 and d2 > 0.5:
                            slope = _lung_half(table, low + 1, side) - _lung_half(table, low, side)
                            inward = (w2 - x) / np.sqrt(1.0 + slope * slope)
                            thickness = max(0.8, pixel)
                            fade = min(1.0, air / 4.0)
                            line = fade * 0.17 / thickness * np.exp(-((inward / thickness) ** 2))
                            if x < w2:
                                half = d2 * profile(rims, 1, x / w2)
                                lung = free * min(1.0, 2 * half / full)
                                cover = min(1.0, max(0.0, inward / (2 * pixel)))
                                lung *= cover
                    # attenuation of the lung
                    fine = sample(tile, 2.7 * x0 + params[1], 2.7 * z0 + params[0])
                    dust = sample(tile, 7.0 * z0 + params[0], 7.0 * x0 + params[1])
                    grain = 1.0 + params[11] * (0.07 * fine + 0.11 * dust)
                    mu = MU_LUNG * params[2 + side] * grain * (1.0 - params[12] * z / 100.0)
                    haze = params[4 + side]
                    if haze > 0.0:
                        hx = (x0 - params[6 + 2 * side]) / 62.0
                        hz = (z0 + 12.0 - params[7 + 2 * side]) / 78.0
                        spread = 0.25 + np.exp(-hx * hx - hz * hz)
                        noise = sample(tile, x0 + params[0], z0 + params[1])
                        patch = max(0.2, 1.0 + 0.2 * noise + 0.12 * fine)
                        mu += haze * 0.0062 * spread * patch
                    if air > 0.3 and lung > 0.0:
                        mu *= 1.0 + min(1.2, air / 45.0)  # a collapsed lung is denser
                    integral -= MU_SOFT * free - min(mu, MU_SOFT) * lung
                    integral += line
                    aerated = 1.0
                    solid = 0.0
                    weight = min(1.0, lung / (0.7 * full))
                    for k in range(lesions.shape[0]):
                        if lesions[k, 16] * (x0 - middle) < 0.0:
                            continue
                        near, far, least = ball(x0, kx, z0, kz, lesions, k, 1.7)
                        if least > 2.6:
                            continue
                        zm = z0 + kz * lesions[k, 1]
                        xm = x0 + kx * lesions[k, 1]
                        px = xm - lesions[k, 0] + lesions[k, 11]
                        pz = zm - lesions[k, 2] + lesions[k, 12]
                        edge = sample(tile, px, pz) + 0.3 * sample(tile, 3.3 * px, 3.3 * pz)
                        distance = np.sqrt(max(0.0, least)) + lesions[k, 9] * edge
                        if distance >= 1.0:
                            continue
                        bulk = (1.0 - max(0.0, distance) ** 2) ** lesions[k, 14]
                        if lesions[k, 20] > 0.0:  # a fissure
                            beyond = lesions[k, 17] * xm + lesions[k, 18] * zm - lesions[k, 19]
                            if lesions[k, 21] > 0.0:  # curved, and uneven like its lobe
                                bow = (xm - lesions[k, 0]) / 45.0
                                beyond += lesions[k, 21] * (edge + lesions[k, 22] * bow * bow)
                            bulk *= min(1.0, max(0.0, 0.5 + beyond / lesions[k, 20]))
                        speck = sample(tile, 1.9 * pz + 31.0, 1.9 * px + 77.0)
                        patch = max(0.05, 1.0 + lesions[k, 13] * speck)
                        here = weight
                        if lesions[k, 21] > 0.0:  # next to heart and diaphragm it hides them
                            here = np.sqrt(weight)
                            bulk *= min(1.0, max(0.0, (abs(x0 - middle) - 3.0) / 16.0))
                        amount = lesions[k, 8] * 2.0 * lesions[k, 4] * bulk * patch * here
                        integral += amount
                        cover = min(1.0, bulk * patch * weight * lesions[k, 15])
                        solid = max(solid, cover)
                        aerated *= 1.0 - 0.75 * cover
                    out[1, r, c] = min(1.0, lung / 75.0) * aerated
                    out[2, r, c] = solid
            for k in range(gases.shape[0]):
                near, far, least = ball(x0, kx, z0, kz, gases, k, 1.1)
                if far > near:
                    integral -= gases[k, 8] * (far - near) * np.sqrt(1.0 - least)
            out[0, r, c] = max(0.0, integral)
    return out
