"""The step logs of a run's episodes, and the facts that an older run did not write down, measured from them. Writes nothing."""

from dataclasses import replace

from carla_rl.errors import UsageError
from carla_rl.metrics.result import EpisodeResult
from carla_rl.records.reading import Run
from carla_rl.records.steps import StepLog, motion_of, read_steps


def drive_of(run: Run, episode: EpisodeResult) -> StepLog:
    """The step log of one of the run's episodes.

    Raises:
        UsageError: it is missing, cannot be read, or is of another drive.
    """
    path = run.steps_path(episode.episode_id)
    log = read_steps(path)
    if log.episode_id != episode.episode_id:
        raise UsageError(f"{path}: is of episode {log.episode_id}, not {episode.episode_id}; files were mixed")
    if log.ending is not episode.ending or (episode.steps is not None and len(log.control) != episode.steps):
        raise UsageError(
            f"{path}: ended by {log.ending.name.lower()} after {len(log.control)} decisions, episodes.jsonl tells of "
            f"{episode.ending.name.lower()} after {episode.steps}; files of two runs were mixed"
        )
    return log


def with_motion(run: Run) -> Run:
    """The run with the motion of every episode that has a step log; where there is none it stays unknown.

    Raises:
        UsageError: a step log that cannot be read or is of another episode.
    """
    return replace(run, episodes=tuple(_measured(run, episode) for episode in run.episodes))


def _measured(run: Run, episode: EpisodeResult) -> EpisodeResult:
    if episode.motion is not None or not (path := run.steps_path(episode.episode_id)).exists():
        return episode
    log = drive_of(run, episode)
    try:
        return episode.model_copy(update={"motion": motion_of(log)})
    except ValueError as error:
        raise UsageError(f"{path}: not a drive ({error}); drive the episode again") from error
