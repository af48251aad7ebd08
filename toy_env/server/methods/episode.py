"""Methods of the world as a whole: version, episode, clock, settings, weather, streams."""

from typing import Any

import carla_rl
from toy_env.server.errors import Refused
from toy_env.server.layouts.values import ActorInfo, Definition, EpisodeSettings, Weather
from toy_env.server.methods.registry import Context, Fidelity, method

MOST_DT_S = 10.0
"""A longer time step is refused: sensors that turn would have too much to say."""


@method("who_are_you", gives="str", note="CARLA does not have it")
def who_are_you(context: Context) -> str:
    """What answers here is not CARLA: the name and version of this project."""
    return f"carla-rl {carla_rl.__version__}"


@method("version", gives="str")
def version(context: Context) -> str:
    """The version of CARLA that the server speaks."""
    return context.layouts.version


@method("get_episode_info", gives="any")
def get_episode_info(context: Context) -> Any:
    """The episode's number and the token of the world's stream; after a load that of before, as a CARLA that is still loading says."""
    return context.episode_told(), (context.streams.token(1),)


@method("get_sensor_token", "int", gives="any")
def get_sensor_token(context: Context, stream: int) -> Any:
    """The token of a stream; the world waits a moment for who asks to subscribe."""
    context.streams.announce(stream)
    return (context.streams.token(stream),)


@method("tick_cue", gives="int")
def tick_cue(context: Context) -> int:
    """Advance the world by one frame in synchronous mode; in asynchronous mode it advances by itself."""
    frame = context.tick() if context.world.settings.synchronous_mode else context.world.frame + 1
    trouble = context.trouble()
    if trouble is not None:
        # the frame is done; this is the one reply on which the client looks
        raise Refused(trouble)
    return frame


@method("get_episode_settings", gives="settings")
def get_episode_settings(context: Context) -> EpisodeSettings:
    """The world's settings."""
    return context.world.settings


@method(
    "set_episode_settings",
    "settings",
    gives="int",
    note="synchronous mode and the fixed time step act; the others are kept and given back",
)
def set_episode_settings(context: Context, settings: EpisodeSettings) -> int:
    """Set the world's settings; the last frame that everybody has been told of."""
    fixed = settings.fixed_delta_seconds
    if fixed is not None and not 0.0 <= fixed <= MOST_DT_S:
        raise Refused(f"fixed_delta_seconds must be from 0 to {MOST_DT_S:g} (found {fixed:g})")
    context.world.settings = settings
    return context.world.frame


@method("get_weather_parameters", gives="weather")
def get_weather_parameters(context: Context) -> Weather:
    """The weather."""
    return context.world.weather


@method("set_weather_parameters", "weather", fidelity=Fidelity.STORED)
def set_weather_parameters(context: Context, weather: Weather) -> None:
    """Set the weather."""
    context.world.weather = weather


@method("get_imui_gravity", gives="float")
def get_imui_gravity(context: Context) -> float:
    """The gravity that IMUs measure, in m/s^2."""
    return context.world.gravity


@method("set_imui_gravity", "float")
def set_imui_gravity(context: Context, gravity: float) -> None:
    """Set it."""
    context.world.gravity = gravity


@method("get_actor_definitions", gives="[definition]")
def get_actor_definitions(context: Context) -> tuple[Definition, ...]:
    """All blueprints."""
    return context.world.catalogue.definitions


@method("get_spectator", gives="actor")
def get_spectator(context: Context) -> ActorInfo:
    """The spectator; its pose is kept and looks at nothing."""
    return context.world.spectator.info


@method("draw_debug_shape", "any", fidelity=Fidelity.IGNORED)
def draw_debug_shape(context: Context, shape: Any) -> None:
    """Draw into the world's picture: there is none."""


@method("query_lights_state", "str", gives="any", fidelity=Fidelity.IGNORED, note="there are no street lights: the list is empty")
def query_lights_state(context: Context, endpoint: str) -> Any:
    """The street lights."""
    return ()


@method("update_day_night_cycle", "any", "any", fidelity=Fidelity.IGNORED)
def update_day_night_cycle(context: Context, endpoint: Any, active: Any) -> None:
    """Let street lights follow the sun, or not: there are none."""


@method("update_lights_state", "any", "any", "any", fidelity=Fidelity.IGNORED)
def update_lights_state(context: Context, endpoint: Any, changed: Any, discard: Any) -> None:
    """Switch street lights: there are none."""
