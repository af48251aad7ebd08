"""Images as the image model wants them: RGB, 224 x 224, in [0, 1], channels first. Knows no network."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from carla_rl.errors import UsageError
from carla_rl.types import Bools, Observation

IMAGE_SIZE = 224
"""Width and height in pixels."""


def read_image(path: Path) -> NDArray[np.uint8]:
    """An image file as RGB (IMAGE_SIZE, IMAGE_SIZE, 3).

    Raises:
        UsageError: missing, or no image.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file; give an image (png or jpg)")
    data = np.fromfile(path, np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        raise UsageError(f"{path}: not an image that can be read; give a png or jpg")
    return fit_image(np.ascontiguousarray(image[:, :, ::-1]))


def fit_image(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An RGB image (height, width, 3) at the model's size; pixels are averaged where it shrinks."""
    if image.shape[:2] == (IMAGE_SIZE, IMAGE_SIZE):
        return image
    shrinks = max(image.shape[:2]) > IMAGE_SIZE
    resized = cv2.resize(image, (IMAGE_SIZE, IMAGE_SIZE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return cast(NDArray[np.uint8], resized)


def stack_images(observation: Observation, cameras: Sequence[str]) -> tuple[NDArray[np.uint8], Bools]:
    """Images (N, C, IMAGE_SIZE, IMAGE_SIZE, 3) of the cameras, zeros for one that is not there, and which are there (N, C)."""
    n = len(observation)
    images = np.zeros((n, len(cameras), IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
    valid = np.zeros((n, len(cameras)), np.bool_)
    for c, name in enumerate(cameras):
        if name in observation.images:
            valid[:, c] = True
            for i, image in enumerate(observation.images[name]):
                images[i, c] = fit_image(image)
    return images, valid


def to_input(images: NDArray[np.uint8]) -> Tensor:
    """Pixels (..., height, width, 3) as the network's input (..., 3, height, width) in [0, 1]."""
    return torch.from_numpy(images).movedim(-1, -3).float() / 255.0
