"""What a command changes of a suite before it drives it: how much traffic there is, and where the lights' cycles begin."""

from dataclasses import replace

from pydantic import Field

from carla_rl.config import Config
from carla_rl.scenario.model import LightCycles, Scenario
from carla_rl.scenario.suite import Suite


class Variation(Config):
    """Changes of every scenario of a suite. A varied suite is another suite: its name says how, and its digest is another."""

    vehicles: int | None = Field(default=None, ge=0, le=200, description="background vehicles; None: as the suite says")
    pedestrians: int | None = Field(default=None, ge=0, le=200, description="likewise")
    lights: LightCycles | None = Field(default=None, description="likewise")

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.model_dump(exclude_none=True).items())

    def applied(self, suite: Suite) -> Suite:
        """The suite with these changes; itself where there are none."""
        if not str(self):
            return suite
        return replace(suite, name=f"{suite.name} ({self})", scenarios=tuple(map(self._changed, suite.scenarios)))

    def _changed(self, scenario: Scenario) -> Scenario:
        traffic = self.model_dump(include={"vehicles", "pedestrians"}, exclude_none=True)
        lights = self.model_dump(include={"lights"}, exclude_none=True)
        return scenario.model_copy(update={"traffic": scenario.traffic.model_copy(update=traffic), **lights})
