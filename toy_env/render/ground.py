"""A town's ground as painted tiles, made when first looked at.

A tile is TILE_M square: the finest level holds an index of `palette.MIXED` per TEXEL_M, the coarser ones averaged colours, each half
as fine as the one before. Bridges: a *layer* is the ground as seen from a height; it holds what lies within BAND_M of that height.
"""

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from carla_rl.roads.network import RoadNetwork
from toy_env.render.palette import MIX, MIXED, MOTTLE
from toy_env.render.strips import ground_quads

TEXEL_M = 0.125
TILE_BITS = 8
TILE = 1 << TILE_BITS
"""Texels along a tile's side at the finest level."""
TILE_M = TILE * TEXEL_M
COARSE = 4
"""Levels above the finest one; level l has TILE >> l texels along a side."""
OFFSETS = (0, 0, 16384, 20480, 21504, 21760)
"""Where each level begins in a tile's row of `Tiles.coarse`; the last is the row's length."""
LAYER_M = 2.0
BAND_M = 4.0
"""A layer serves egos up to 1 m above or below it, so that all within 3 m of an ego's level is there."""
_FIXED = 4
"""Fractional bits of the corners that OpenCV fills."""


class Tiles(NamedTuple):
    """What a kernel samples. Slot 0 is bare grass."""

    fine: NDArray[np.uint8]
    """(slots, TILE, TILE) index into `palette.MIXED`, rows towards larger y."""
    coarse: NDArray[np.int32]
    """(slots, OFFSETS[-1]) 0x00RRGGBB."""
    palette: NDArray[np.int64]
    """(len(MIXED),) colours spread over 16-bit fields: R << 32 | G << 16 | B."""


class GroundMap:
    """The painted ground of one town."""

    def __init__(self, network: RoadNetwork) -> None:
        self._quads = ground_quads(network)
        corners = self._quads.corners
        low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
        self.x0, self.y0 = float(np.floor(low[0] / TILE_M) * TILE_M), float(np.floor(low[1] / TILE_M) * TILE_M)
        self._nx, self._ny = (int(n) for n in np.floor((high - (self.x0, self.y0)) / TILE_M).astype(int) + 1)
        z = self._quads.z
        self._z0 = float(z.min())
        self.flat = float(z.max()) - self._z0 <= BAND_M - 1.0
        self._layers = 1 if self.flat else int(np.ceil((float(z.max()) - self._z0) / LAYER_M)) + 1
        self._first, self._members = _quads_by_tile(corners, self.x0, self.y0, self._nx, self._ny)
        self._slots = self._assign_slots()
        count = int(self._slots.max()) + 1
        spread = MIXED.astype(np.int64)
        # untouched pages of these cost no memory, so a big town takes only what was looked at
        self.tiles = Tiles(
            np.zeros((count, TILE, TILE), np.uint8),
            np.zeros((count, OFFSETS[-1]), np.int32),
            spread[:, 0] << 32 | spread[:, 1] << 16 | spread[:, 2],
        )
        self._painted = np.zeros(count, np.bool_)
        self._mottle = _mottle_pattern()
        self._window: tuple[tuple[int, ...], tuple[NDArray[np.int32], NDArray[np.float64]]] = (), (np.zeros((0, 0), np.int32), np.zeros(2))
        """The last one of `window`, behind what it was for."""
        self._paint(0, np.zeros(0, np.int64))

    def layer_of(self, z: NDArray[np.float64]) -> NDArray[np.int64]:
        """(N,) the layer that shows the ground around height z."""
        if self.flat:
            return np.zeros(len(z), np.int64)
        return np.clip(np.rint((z - self._z0) / LAYER_M), 0, self._layers - 1).astype(np.int64)

    def windows(
        self, x: NDArray[np.float64], y: NDArray[np.float64], z: NDArray[np.float64], reach: int
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """The slots of the tiles around each place, painted: (N, 2 reach + 1, 2 reach + 1) and the (N, 2) corner of each window in m.

        What lies outside of its window a picture shows as grass, whether or not another one had it painted.
        """
        layer = self.layer_of(z)
        ix = np.floor((x - self.x0) / TILE_M).astype(np.int64)
        iy = np.floor((y - self.y0) / TILE_M).astype(np.int64)
        span = np.arange(-reach, reach + 1)
        tx, ty = ix[:, None, None] + span[None, None, :], iy[:, None, None] + span[None, :, None]
        inside = (tx >= 0) & (tx < self._nx) & (ty >= 0) & (ty < self._ny)
        slots = np.where(inside, self._slots[layer[:, None, None], np.clip(ty, 0, self._ny - 1), np.clip(tx, 0, self._nx - 1)], 0)
        if not self._painted[slots].all():
            self._paint_missing(slots, layer, tx, ty)
        corner = np.stack((self.x0 + (ix - reach) * TILE_M, self.y0 + (iy - reach) * TILE_M), axis=-1)
        return slots.astype(np.int32), corner

    def window(self, x: float, y: float, z: float, reach: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """`windows` of one place: (2 reach + 1, 2 reach + 1) and (2,). It is kept: who looks again is mostly over the same tile."""
        layer = 0 if self.flat else int(self.layer_of(np.array([z]))[0])
        key = (layer, math.floor((x - self.x0) / TILE_M), math.floor((y - self.y0) / TILE_M), reach)
        if key != self._window[0]:
            slots, corners = self.windows(np.array([x]), np.array([y]), np.array([z]), reach)
            self._window = key, (slots[0], corners[0])
        return self._window[1]

    def _paint_missing(self, slots: NDArray[np.int32], layer: NDArray[np.int64], tx: NDArray[np.int64], ty: NDArray[np.int64]) -> None:
        shape = slots.shape
        layers, txs, tys = (np.broadcast_to(a, shape) for a in (layer[:, None, None], tx, ty))
        missing = ~self._painted[slots]
        for slot, index in zip(*np.unique(slots[missing], return_index=True), strict=True):
            at_x, at_y = int(txs[missing][index]), int(tys[missing][index])
            members = self._tile_members(at_y * self._nx + at_x, int(layers[missing][index]))
            self._paint(int(slot), members, self.x0 + at_x * TILE_M, self.y0 + at_y * TILE_M)

    def _tile_members(self, tile: int, layer: int) -> NDArray[np.int64]:
        members = self._members[self._first[tile] : self._first[tile + 1]]
        return members if self.flat else members[np.abs(self._quads.z[members] - (self._z0 + layer * LAYER_M)) <= BAND_M]

    def _assign_slots(self) -> NDArray[np.int32]:
        slots = np.zeros((self._layers, self._ny * self._nx), np.int32)
        used = [
            (layer, tile) for layer in range(self._layers) for tile in range(self._ny * self._nx) if len(self._tile_members(tile, layer))
        ]
        for slot, place in enumerate(used, start=1):
            slots[place] = slot
        return slots.reshape(self._layers, self._ny, self._nx)

    def _paint(self, slot: int, members: NDArray[np.int64], x0: float = 0.0, y0: float = 0.0) -> None:
        painted = np.zeros((2 * TILE, 2 * TILE), np.uint8)
        # painted twice as fine as shown, for smooth edges; OpenCV's pixel centres are at whole coordinates, ours at halves
        corners = np.rint(((self._quads.corners[members] - (x0, y0)) * 2.0 / TEXEL_M - 0.5) * (1 << _FIXED)).astype(np.int32)
        for corner, colour in zip(corners, self._quads.colour[members].tolist(), strict=True):
            cv2.fillConvexPoly(painted, corner, colour, cv2.LINE_8, _FIXED)
        quarters = np.stack((painted[::2, ::2], painted[::2, 1::2], painted[1::2, ::2], painted[1::2, 1::2]))
        low, high = quarters.min(axis=0), quarters.max(axis=0)
        picture = MIX[low, high, (quarters == high).sum(axis=0)]
        for surface, shades in MOTTLE.items():
            plain = picture == surface
            for k, shade in enumerate(shades, start=1):
                picture[plain & (self._mottle == k)] = shade
        self.tiles.fine[slot] = picture
        colours = MIXED[picture].astype(np.float32)
        for level in range(1, COARSE + 1):
            side = TILE >> level
            colours = colours.reshape(side, 2, side, 2, 3).mean(axis=(1, 3), dtype=np.float32)
            whole = np.rint(colours).astype(np.int32).reshape(-1, 3)
            self.tiles.coarse[slot, OFFSETS[level] : OFFSETS[level + 1]] = whole[:, 0] << 16 | whole[:, 1] << 8 | whole[:, 2]
        self._painted[slot] = True


def _quads_by_tile(corners: NDArray[np.float64], x0: float, y0: float, nx: int, ny: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """CSR lists of the quads whose bounding box touches each tile (a texel wider), in painting order."""
    margin = TEXEL_M
    low = np.floor((corners.min(axis=1) - margin - (x0, y0)) / TILE_M).astype(np.int64)
    high = np.floor((corners.max(axis=1) + margin - (x0, y0)) / TILE_M).astype(np.int64)
    low, high = np.maximum(low, 0), np.minimum(high, (nx - 1, ny - 1))
    tiles, quads = [], []
    spans = high - low
    for dy in range(int(spans[:, 1].max()) + 1):
        for dx in range(int(spans[:, 0].max()) + 1):
            touched = np.flatnonzero((spans[:, 0] >= dx) & (spans[:, 1] >= dy))
            tiles.append((low[touched, 1] + dy) * nx + low[touched, 0] + dx)
            quads.append(touched)
    tile, quad = np.concatenate(tiles), np.concatenate(quads)
    order = np.lexsort((quad, tile))
    first = np.searchsorted(tile[order], np.arange(nx * ny + 1))
    return first, quad[order]


def _mottle_pattern() -> NDArray[np.uint8]:
    """(TILE, TILE) 0, 1 or 2: blotches of half a metre to two metres, the same in every tile, seamless."""
    random = np.random.Generator(np.random.Philox(7))
    total = np.zeros((TILE, TILE), np.float64)
    for cell, weight in ((4, 0.7), (16, 1.0)):
        noise = random.random((TILE // cell, TILE // cell))
        wide = np.pad(noise, 1, mode="wrap")
        smooth = cv2.resize(wide, None, fx=cell, fy=cell, interpolation=cv2.INTER_LINEAR)
        total += weight * smooth[cell:-cell, cell:-cell]
    low, high = np.quantile(total, (0.3, 0.7))
    return np.where(total < low, 1, np.where(total > high, 2, 0)).astype(np.uint8)
