"""How Hydra reads YAML files: the user's are checked, and components without a file are choices."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from omegaconf import OmegaConf

from harness.cli.guard import check_yaml
from harness.config.foreign import chosen
from harness.config.keys import choosing
from harness.paths import conf_dir

Plain = dict[str, Any]


class CheckedSource(FileConfigSource):
    """Hydra's reader of YAML files, with a look at each file that is not the project's own.

    Components of other packages are choices of their group, without a file.
    """

    said: ClassVar[set[str]] = set()  # a file is read several times

    def is_config(self, config_path: str) -> bool:
        """Whether there is such a file, or such a component."""
        return super().is_config(config_path) or self._component(config_path) is not None

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """The names in a group: of files, and of components that have none."""
        found = super().list(config_path, results_filter)
        group = choosing(config_path) if self._own() else None
        if group is not None and results_filter is not ObjectType.GROUP:
            found += [name for name in group[1].others() if name not in found]
        return sorted(found)

    def _own(self) -> bool:
        return Path(self.path).resolve() == conf_dir()

    def _component(self, config_path: str) -> Plain | None:
        group, _, name = config_path.removesuffix(".yaml").rpartition("/")
        return chosen(group, name) if group and self._own() else None

    def load_config(self, config_path: str) -> ConfigResult:
        """Read one YAML file; ConfigError where it could run code."""
        path = Path(self.path, self._normalize_file_name(config_path)).resolve()
        if not path.is_file() and (found := self._component(config_path)) is not None:
            return ConfigResult(
                config=OmegaConf.create(found),
                path=f"{self.scheme()}://{self.path}",
                provider=self.provider,
                header={"package": None},
            )
        if path.is_file() and not path.is_relative_to(conf_dir()):
            for text in check_yaml(path):
                if text not in self.said:
                    self.said.add(text)
                    print(f"harness: {text}", file=sys.stderr)
        return super().load_config(config_path)


@contextlib.contextmanager
def checked_files() -> Iterator[None]:
    """Let Hydra read files by CheckedSource."""
    Plugins.instance()  # fills the registry
    types = SourcesRegistry.instance().types
    before = types["file"]
    types["file"] = CheckedSource
    try:
        yield
    finally:
        types["file"] = before
