"""The expert's numbers, with units and reasons; and how its code is compiled. Frozen; the kernel takes them as a named tuple."""

from typing import NamedTuple

from pydantic import Field

from carla_rl.config import Config


class Numbers(NamedTuple):
    """`ExpertConfig` as kernels take it; fields as there."""

    half_length: float
    half_width: float
    rear_base: float
    limit_factor: float
    lateral_accel: float
    accel: float
    comfort_brake: float
    hard_brake: float
    recover_min: float
    recover_s: float
    turn_s: float
    lead_gap: float
    lead_headway_s: float
    lead_margin: float
    lead_brake: float
    react_s: float
    react_gap: float
    line_gap: float
    yellow_brake: float
    red_brake: float
    conflict_gap: float
    box_ahead: float
    box_ahead_s: float
    box_side: float
    walker_side: float
    walker_gap: float
    heed_s: float
    heed_brake: float
    heed_gap: float
    heed_fastest: float
    swerve_accel: float
    pass_gap: float
    rider_gap: float
    fixed_gap: float
    edge_gap: float
    wait_gap: float
    clear_gap: float
    pass_accel: float
    oncoming_accel: float
    aside_least: float
    chain: float


class ExpertConfig(Config):
    """How the expert drives. The vehicle's numbers are those of CARLA's Lincoln MKZ 2020 and of the World on Rails bicycle."""

    half_length: float = Field(default=2.45, description="m, of the ego")
    half_width: float = Field(default=1.03, description="m, of the ego")
    rear_base: float = Field(default=1.4178275, description="m from the rear axle to the centre: gives the slip angle in turns")
    limit_factor: float = Field(default=0.8, gt=0, le=1, description="desired speed as a share of the limit")
    lateral_accel: float = Field(default=2.5, gt=0, description="m/s^2 in curves")
    accel: float = Field(default=2.2, gt=0, description="m/s^2, largest")
    comfort_brake: float = Field(default=2.5, gt=0, description="m/s^2, for what is seen in time")
    hard_brake: float = Field(default=4.8, gt=0, description="m/s^2, the most that is planned; the vehicle has 4.95")
    recover_min: float = Field(default=5.0, gt=0, description="m over which an offset from the route decays, at least")
    recover_s: float = Field(default=1.5, gt=0, description="seconds of present speed over which it decays")
    turn_s: float = Field(default=0.8, gt=0, description="seconds of present speed over which the ego's direction becomes the route's")
    lead_gap: float = Field(default=3.0, gt=0, description="m, IDM gap to a standing leader")
    lead_headway_s: float = Field(default=1.0, gt=0, description="s, IDM time headway")
    lead_margin: float = Field(default=0.35, ge=0, description="m beside the ego within which a vehicle counts as being in its way")
    lead_brake: float = Field(default=6.0, gt=0, description="m/s^2 with which a slower leader may brake")
    react_s: float = Field(default=0.4, ge=0, description="s until the ego brakes fully")
    react_gap: float = Field(default=1.0, ge=0, description="m kept even then")
    line_gap: float = Field(default=0.7, gt=0, description="m between the front bumper and a stop line")
    yellow_brake: float = Field(default=4.0, gt=0, description="m/s^2 above which a yellow light is driven through")
    red_brake: float = Field(default=6.0, gt=0, description="m/s^2 above which a red light cannot be stopped for")
    conflict_gap: float = Field(default=2.0, gt=0, description="m kept before the place where another road user's way crosses")
    box_ahead: float = Field(default=0.6, ge=0, description="m added before and behind the ego in forecasts")
    box_ahead_s: float = Field(default=0.15, ge=0, description="seconds of the forecast ego speed added before and behind it")
    box_side: float = Field(default=0.25, ge=0, description="m added on each side in forecasts")
    walker_side: float = Field(default=0.6, ge=0, description="m added around pedestrians and bicycles")
    walker_gap: float = Field(default=1.0, ge=0, description="m beside the ego within which a pedestrian counts as being in its way")
    swerve_accel: float = Field(default=2.0, gt=0, description="m/s^2 to the side, of a swerve")
    pass_gap: float = Field(default=0.4, gt=0, description="m beside what stands in the way and is passed; above lead_margin")
    rider_gap: float = Field(default=0.8, gt=0, description="m beside a bicycle that is passed")
    fixed_gap: float = Field(default=0.15, ge=0, description="m around the ego within which what it passes must not be")
    edge_gap: float = Field(default=0.1, ge=0, description="m kept to the edge of the driving lanes when passing")
    wait_gap: float = Field(default=1.2, gt=0, description="m before what is to be passed, on top of the way to swing out")
    clear_gap: float = Field(default=0.5, ge=0, description="m behind what was passed before the ego turns back")
    pass_accel: float = Field(default=3.5, gt=0, description="m/s^2 on the oncoming lane, to be off it soon")
    oncoming_accel: float = Field(default=2.0, gt=0, description="m/s^2 with which oncoming traffic may gather speed")
    aside_least: float = Field(default=0.5, gt=0, description="m: a standing vehicle so far beside the middle of the lane is parked")
    chain: float = Field(default=20.0, gt=0, description="m: obstacles nearer to one another are passed in one go")
    heed_s: float = Field(default=0.8, ge=0, description="s after which vehicles that cross the ego's way slow down for it")
    heed_brake: float = Field(default=5.0, gt=0, description="m/s^2 with which they do")
    heed_gap: float = Field(default=15.0, ge=0, description="m, and heed_s of their speed: from nearer nobody is expected to slow down")
    heed_fastest: float = Field(default=12.0, ge=0, description="m/s: nobody faster is expected to slow down")

    def numbers(self) -> Numbers:
        """For kernels."""
        return Numbers(**self.model_dump())
