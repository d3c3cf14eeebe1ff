"""`hydra/launcher=harness` and `hydra/sweeper=harness`: a whole grid at once.

Hydra hands a launcher every point of a batch together, so any sweeper gets the fused training.
Every Hydra program on the machine imports this module: it must stay thin, without torch.
"""

# no `from __future__ import annotations`: Hydra's scanner runs this file before it stands in
# sys.modules, and dataclasses look text annotations up there
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper, BasicSweeperConf
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class FusedLauncherConf:
    """`hydra.launcher`; how the work is divided is `engine.*`, not here."""

    _target_: str = "hydra_plugins.harness_launcher.fused.FusedLauncher"


@dataclass
class FusedSweeperConf(BasicSweeperConf):
    """`hydra.sweeper`: the basic sweeper's settings, `params` and `max_batch_size`."""

    _target_: str = "hydra_plugins.harness_launcher.fused.FusedSweeper"


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
        from harness.cli.hydra_compose import compose_jobs

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


class FusedSweeper(BasicSweeper):
    """The basic sweeper, without composing every job, its files, or its stop at a failure."""

    def sweep(self, arguments: list[str]) -> Any:
        """Parse, split into batches, launch; failures are told by harness, after the whole grid."""
        assert self.hydra_context is not None and self.launcher is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*self._parse_config(), *arguments])
        from harness.cli.gridsize import check_points

        check_points(overrides)
        batches = self.split_arguments(overrides, self.max_batch_size)
        returns, first = [], 0
        for batch in batches:
            returns.append(self.launcher.launch(batch, initial_job_idx=first))
            first += len(batch)
        return returns


store = ConfigStore.instance()
store.store(group="hydra/launcher", name="harness", node=FusedLauncherConf, provider="harness")
store.store(group="hydra/sweeper", name="harness", node=FusedSweeperConf, provider="harness")
