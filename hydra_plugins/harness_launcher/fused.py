"""`hydra/launcher=harness` and `hydra/sweeper=harness`: a whole grid at once.

Hydra hands a launcher every point of a batch together, so any sweeper gets the fused training.
Every Hydra program on the machine imports this module: it must stay thin, without torch.
"""

# no `from __future__ import annotations`: Hydra's scanner runs this file before it stands in
# sys.modules, and dataclasses look text annotations up there
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


@dataclass
class FusedLauncherConf:
    """`hydra.launcher`; how the work is divided is `engine.*`, not here."""

    _target_: str = "hydra_plugins.harness_launcher.fused.FusedLauncher"


@dataclass
class FusedSweeperConf:
    """`hydra.sweeper`: axes that a config brings, and how many points are launched together.

    zip, drop and grids give the grid another shape: harness.cli.grid.Shape says which.
    """

    _target_: str = "hydra_plugins.harness_launcher.fused.FusedSweeper"
    max_batch_size: int | None = None
    params: dict[str, Any] | None = None
    zip: list[Any] | None = None
    drop: list[Any] | None = None
    grids: list[Any] | None = None


class FusedLauncher(Launcher):
    """Composes every job of a batch and hands them to harness together."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what Hydra gives; no side effect."""
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """One JobReturn a job, in order; its value is best/nll_val, or the failure's exception."""
        del initial_job_idx  # the jobs of a batch are told apart by their run ids
        setup_globals()
        fused = getattr(self.task_function, "fused", None)
        if fused is None:
            raise HydraException("hydra/launcher=harness trains harness runs; use harness train -m")
        from harness.cli.composition import compose_jobs

        jobs = [list(overrides) for overrides in job_overrides]
        configs = compose_jobs(self.hydra_context.config_loader, self.config, jobs)
        values = fused(configs, jobs)
        return [
            JobReturn(
                overrides=overrides,
                cfg=cast(DictConfig, config),  # plain: thousands of DictConfigs cost seconds
                working_dir=".",
                task_name="harness",
                status=JobStatus.FAILED if isinstance(value, Exception) else JobStatus.COMPLETED,
                _return_value=value,
            )
            for overrides, config, value in zip(jobs, configs, values, strict=True)
        ]


class FusedSweeper(Sweeper):
    """Hands every point of a grid to the launcher, in batches of at most `max_batch_size`.

    Unlike Hydra's basic sweeper it composes no job itself, writes no file, and does not stop at a
    failed job: harness reports failures once the whole grid is done.
    """

    def __init__(
        self, max_batch_size: int | None = None, params: Mapping[str, Any] | None = None,
        zip: Any = None, drop: Any = None, grids: Any = None,
    ) -> None:  # fmt: skip
        self.max_batch_size, self.params = max_batch_size, params or {}
        given = {"zips": zip, "drops": drop, "grids": grids}
        self.shape: dict[str, Any] = {
            key: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
            for key, value in given.items()
        }

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what Hydra gives and make the launcher that the config names."""
        self.hydra_context, self.config, self.task = hydra_context, config, task_function
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Make the grid, split it into batches, launch each; one list of JobReturn a batch."""
        from harness.cli.composition import shaped_jobs
        from harness.cli.grid import Shape, read_shape

        assert self.hydra_context and self.launcher and self.config is not None
        search = getattr(self.task, "search", None)
        if search is not None:  # `harness search`: batches are asked for one by one
            return search(
                self.hydra_context.config_loader, self.config, (self.params, arguments),
                lambda jobs: self.launcher.launch(jobs, initial_job_idx=0),
            )  # fmt: skip
        asked = read_shape(**self.shape).joined(getattr(self.task, "shape", Shape()))
        jobs, drawn = shaped_jobs(
            self.hydra_context.config_loader, self.config, self.params, arguments, asked
        )
        if hasattr(self.task, "drawn"):
            self.task.drawn = drawn
        size = len(jobs) if self.max_batch_size is None else self.max_batch_size
        if getattr(self.task, "dry_run", False):
            size = len(jobs)
        if size < 1:
            raise HydraException(f"hydra.sweeper.max_batch_size is {size}; allowed: 1 or more")
        return [
            self.launcher.launch(jobs[first : first + size], initial_job_idx=first)
            for first in range(0, len(jobs), size)
        ]


store = ConfigStore.instance()
store.store(group="hydra/launcher", name="harness", node=FusedLauncherConf, provider="harness")
store.store(group="hydra/sweeper", name="harness", node=FusedSweeperConf, provider="harness")
