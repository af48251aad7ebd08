"""What a vehicle's physics looks like to a client before it has set any. The motion model reads none of it but the mass."""

from toy_env.server.layouts.values import Box, Gear, PhysicsControl, Vector, Vector2, Wheel

WHEEL_INSET_M = 0.9
"""Axles stay so far from the ends of the box."""
CM = 100.0


def default_physics(mass: float, box: Box, wheels: int) -> PhysicsControl:
    """A plain car of the given mass in kg; its wheels stand at the corners of the box: front left, front right, rear left, rear right."""
    long, wide = max(box.extent.x - WHEEL_INSET_M, 0.3), box.extent.y
    spots = [(long, -wide), (long, wide), (-long, -wide), (-long, wide)] if wheels >= 4 else [(long, 0.0), (-long, 0.0)]
    return PhysicsControl(
        torque_curve=(Vector2(0.0, 500.0), Vector2(5000.0, 500.0)),
        max_rpm=5000.0,
        moi=1.0,
        damping_rate_full_throttle=0.15,
        damping_rate_zero_throttle_clutch_engaged=2.0,
        damping_rate_zero_throttle_clutch_disengaged=0.35,
        use_gear_autobox=True,
        gear_switch_time=0.5,
        clutch_strength=10.0,
        final_ratio=4.0,
        forward_gears=(Gear(2.85, 0.5, 0.65), Gear(2.02, 0.5, 0.65), Gear(1.35, 0.5, 0.65), Gear(1.0, 0.5, 0.65)),
        mass=mass,
        drag_coefficient=0.3,
        center_of_mass=Vector(0.0, 0.0, 0.0),
        steering_curve=(Vector2(0.0, 1.0), Vector2(20.0, 0.9), Vector2(60.0, 0.8), Vector2(120.0, 0.7)),
        wheels=tuple(
            Wheel(
                max_steer_angle=70.0 if x > 0 else 0.0, max_handbrake_torque=0.0 if x > 0 else 3000.0, position=Vector(CM * x, CM * y, 35.0)
            )
            for x, y in spots
        ),
        use_sweep_wheel_collision=False,
    )
