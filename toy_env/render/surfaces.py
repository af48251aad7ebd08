"""What a free camera sees at each pixel: which surface, and how far it is. From that the pictures of `developing` are made.

The camera may stand anywhere and turn about all axes. The ground is a plane, or a `relief` where the town is not level; what stands on it
are the boxes of `boxes`. A *camera* is an array: place (3, m, map frame), forward, right and up (3 each, unit vectors), focal length in
pixels, height of the ground in m.
"""

import math

import numba
import numpy as np
from numpy.typing import NDArray

from carla_rl.world.compiled import inline_rule
from toy_env.render.relief import height
from toy_env.render.solids import NEAR_M, box_face, clip_and_project, first_pixel

CAMERA = 14
FOCAL, GROUND_Z = 12, 13
GROUND_SEEN, SKY_SEEN = -1, -2
"""In the picture of faces; otherwise it is 6 * box + 2 * axis + (1 where the face looks along the axis)."""
FAR_M = 1000.0
"""The ground ends here; CARLA's depth camera measures as far."""
BEYOND_M = 1.0e6
"""Nothing so far away is drawn, nor what has no place that is a number."""
_SMALLEST_PX = 0.3
"""Boxes with a smaller radius in the picture are left out."""


@numba.njit(cache=True, error_model="numpy", nogil=True)
def draw_surfaces(
    inverse: NDArray[np.float32],
    face: NDArray[np.int32],
    camera: NDArray[np.float64],
    boxes: NDArray[np.float64],
    heights: NDArray[np.float64],
    grid: NDArray[np.float64],
) -> None:
    """Fill (H, W) pictures: 1 / depth along the optical axis in 1/m (0: sky), and the surface. `heights` and `grid` are a `Relief`."""
    corners, scratch, axes = np.empty((4, 3)), np.empty((8, 2)), np.empty((3, 3))
    if len(heights) > 0:
        _lay_relief(inverse, face, camera, heights, grid, corners, scratch)
    else:
        _lay_ground(inverse, face, camera)
    side_x, side_y = 0.5 * inverse.shape[1] / camera[FOCAL], 0.5 * inverse.shape[0] / camera[FOCAL]
    lean_x, lean_y = math.sqrt(1.0 + side_x * side_x), math.sqrt(1.0 + side_y * side_y)
    for k in range(len(boxes)):
        box = boxes[k]
        centre = to_camera(camera, box[0] - camera[0], box[1] - camera[1], box[2] - camera[2])
        radius, ahead = box[21], centre[2]
        if (
            not abs(ahead) < BEYOND_M
            or ahead + radius < NEAR_M
            or abs(centre[0]) > ahead * side_x + radius * lean_x
            or abs(centre[1]) > ahead * side_y + radius * lean_y
            or radius * camera[FOCAL] < _SMALLEST_PX * ahead
        ):
            continue
        for axis in range(3):
            axes[axis, 0], axes[axis, 1], axes[axis, 2] = to_camera(camera, box[3 + 3 * axis], box[4 + 3 * axis], box[5 + 3 * axis])
        for axis in range(3):
            count, sign = box_face(centre, axes, axis, corners)
            if count:
                surface = np.int32(6 * k + 2 * axis + (1 if sign > 0.0 else 0))
                _fill(inverse, face, corners, 4, camera[FOCAL], surface, scratch)


@inline_rule
def to_camera(camera: NDArray[np.float64], x: float, y: float, z: float) -> tuple[float, float, float]:
    """A direction of the map frame in the camera frame: right, down, ahead."""
    return (
        camera[6] * x + camera[7] * y + camera[8] * z,
        -(camera[9] * x + camera[10] * y + camera[11] * z),
        camera[3] * x + camera[4] * y + camera[5] * z,
    )


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _lay_ground(inverse: NDArray[np.float32], face: NDArray[np.int32], camera: NDArray[np.float64]) -> None:
    """Ground and sky: 1 / depth of a plane is linear in the picture."""
    height, width = inverse.shape
    above = camera[2] - camera[GROUND_Z]
    if above <= 0.0:
        inverse[:, :] = 0.0
        face[:, :] = SKY_SEEN
        return
    least = 1.0 / FAR_M
    across, down = -camera[8] / camera[FOCAL] / above, camera[11] / camera[FOCAL] / above
    for i in range(height):
        row = -camera[5] / above + across * (0.5 - 0.5 * width) + down * (i + 0.5 - 0.5 * height)
        for j in range(width):
            near = row + across * j
            ground = near > least
            inverse[i, j] = np.float32(near) if ground else np.float32(0.0)
            face[i, j] = GROUND_SEEN if ground else SKY_SEEN


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _lay_relief(
    inverse: NDArray[np.float32],
    face: NDArray[np.int32],
    camera: NDArray[np.float64],
    heights: NDArray[np.float64],
    grid: NDArray[np.float64],
    corners: NDArray[np.float64],
    scratch: NDArray[np.float64],
) -> None:
    """Ground and sky where the ground is not a plane: two triangles a cell, and around them the ground as at the edge."""
    inverse[:, :] = 0.0
    face[:, :] = SKY_SEEN
    if camera[2] <= height(heights, grid, camera[0], camera[1]):
        return
    rows, columns = heights.shape[0] + 2, heights.shape[1] + 2
    nodes = np.empty((rows, columns, 3))
    for i in range(rows):
        y = grid[1] + grid[2] * (i - 1) + (-FAR_M if i == 0 else FAR_M if i == rows - 1 else 0.0)
        for j in range(columns):
            x = grid[0] + grid[2] * (j - 1) + (-FAR_M if j == 0 else FAR_M if j == columns - 1 else 0.0)
            z = heights[min(max(i - 1, 0), rows - 3), min(max(j - 1, 0), columns - 3)]
            nodes[i, j, 0], nodes[i, j, 1], nodes[i, j, 2] = to_camera(camera, x - camera[0], y - camera[1], z - camera[2])
    side_x, side_y = 0.5 * inverse.shape[1] / camera[FOCAL], 0.5 * inverse.shape[0] / camera[FOCAL]
    for i in range(rows - 1):
        for j in range(columns - 1):
            if _beside(nodes, i, j, side_x, side_y):
                continue
            for half in range(2):
                # first corner, then the one that the half has for itself, then the last
                corners[0], corners[2] = nodes[i, j], nodes[i + 1, j + 1]
                corners[1] = nodes[i + 1 - half, j + half]
                _fill(inverse, face, corners, 3, camera[FOCAL], np.int32(GROUND_SEEN), scratch)


@inline_rule
def _beside(nodes: NDArray[np.float64], i: int, j: int, side_x: float, side_y: float) -> bool:
    """Whether all four corners of a cell are on the same side out of the picture."""
    behind, left, right, above, below = True, True, True, True, True
    for k in range(4):
        x, y, z = nodes[i + k // 2, j + k % 2, 0], nodes[i + k // 2, j + k % 2, 1], nodes[i + k // 2, j + k % 2, 2]
        behind, left, right = behind and z < NEAR_M, left and x < -z * side_x, right and x > z * side_x
        above, below = above and y < -z * side_y, below and y > z * side_y
    return behind or left or right or above or below


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _fill(
    inverse: NDArray[np.float32],
    face: NDArray[np.int32],
    corners: NDArray[np.float64],
    count: int,
    focal: float,
    surface: np.int32,
    scratch: NDArray[np.float64],
) -> None:
    """Fill a plane convex face (its first `count` corners, camera frame) where it is nearer than what is there."""
    height, width = inverse.shape
    n = clip_and_project(corners, count, focal, 0.5 * width, 0.5 * height, scratch)
    ax, ay, az = corners[1, 0] - corners[0, 0], corners[1, 1] - corners[0, 1], corners[1, 2] - corners[0, 2]
    bx, by, bz = corners[2, 0] - corners[0, 0], corners[2, 1] - corners[0, 1], corners[2, 2] - corners[0, 2]
    nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    distance = nx * corners[0, 0] + ny * corners[0, 1] + nz * corners[0, 2]
    if n < 3 or distance == 0.0:
        return
    top, bottom = scratch[0, 1], scratch[0, 1]
    for k in range(1, n):
        top, bottom = min(top, scratch[k, 1]), max(bottom, scratch[k, 1])
    slope_x, slope_y, base = nx / distance / focal, ny / distance / focal, nz / distance
    for i in range(first_pixel(top, height), first_pixel(bottom, height)):
        y = i + 0.5
        left, right = math.inf, -math.inf
        for k in range(n):
            m = k + 1 if k + 1 < n else 0
            ya, yb = scratch[k, 1], scratch[m, 1]
            if (ya <= y) != (yb <= y):
                x = scratch[k, 0] + (y - ya) / (yb - ya) * (scratch[m, 0] - scratch[k, 0])
                left, right = min(left, x), max(right, x)
        if left < right:
            row = base + slope_y * (y - 0.5 * height) + slope_x * (0.5 - 0.5 * width)
            for j in range(first_pixel(left, width), first_pixel(right, width)):
                near = np.float32(row + slope_x * j)
                if near > inverse[i, j]:
                    inverse[i, j], face[i, j] = near, surface
