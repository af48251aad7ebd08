"""Pictures of the toy world: a front camera by perspective projection and a bird's-eye view.

Use one `Renderer` for a simulator or a report. It keeps what it has prepared of each town, so nothing is global:

    renderer = Renderer()
    sky = np.stack([atmosphere(episode.scenario.weather) for episode in episodes])          # (N, ATMOSPHERE), once an episode
    image = renderer.camera(network, spec, ego, ego_z, scene, sky)                           # (N, H, W, 3) uint8 RGB
    view = renderer.bird(network, BirdSpec(), ego, ego_z, scene, lines=[(route, (0, 120, 255))])

All N envs of a call are in the same town; a simulator with envs in several towns calls once a town. The pictures are drawn, not simulated:
flat ground at the ego's level, boxes for actors, lamps as large discs. An env's picture is the same bits whatever the others hold.
"""

from toy_env.render.bird import BirdSpec
from toy_env.render.renderer import Renderer
from toy_env.render.sky import ATMOSPHERE, atmosphere

__all__ = ["ATMOSPHERE", "BirdSpec", "Renderer", "atmosphere"]
