"""A trained run as an MLflow model: code beside safetensors, nothing pickled.

Called by `tracking` for the best run of a sweep; mlflow is imported where it is used.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.records.durable import digest
from harness.tracking import portable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.records.record import RunRecord

NAME = "model"  # models:/<id>, or runs:/<MLflow run id>/model
CODE = Path(__file__).with_name("model_code.py")
PACKAGES = ("mlflow", "numpy", "pandas", "safetensors", "torch")
DIGEST = "harness.weights_sha256"


def log_model(record: RunRecord, mlflow_run_id: str, client: Any) -> str | None:
    """Make a run's network a model of that MLflow run; returns its id, the old one if it is there.

    client: an MlflowClient. None where there is nothing to serve: the run's weights were dropped,
    its data are points, not words, or its activation is no class of torch.nn, so that the network
    cannot stand without the package it came from. May raise what MLflow raises.
    """
    if not record.weights or not record.symbols or portable.torch_module(record.config) is None:
        return None
    content = portable.pack(record)
    run = client.get_run(mlflow_run_id)
    found = _standing(client, run, digest(content))
    if found is not None:
        return found
    with _without_notes():
        from mlflow.entities import LoggedModelOutput
        from mlflow.models import Model

    model = client.create_logged_model(
        run.info.experiment_id, name=NAME, source_run_id=mlflow_run_id, model_type="next-symbol",
        tags={DIGEST: digest(content), "harness.run_id": record.run_id},
        params={key: str(value) for key, value in record.config.flat().items()},
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        described = Model(
            artifact_path=model.artifact_location, run_id=mlflow_run_id,
            model_uuid=model.model_id, model_id=model.model_id,
        )  # fmt: skip
        save_model(record, Path(folder), described)
        client.log_model_artifacts(model.model_id, str(Path(folder) / NAME))
    steps = record.series["nll/train"][0] if "nll/train" in record.series else [0]
    client.log_outputs(mlflow_run_id, [LoggedModelOutput(model.model_id, int(steps[-1]))])
    client.finalize_logged_model(model.model_id, "READY")
    model_id: str = model.model_id
    return model_id


def save_model(record: RunRecord, folder: Path, described: Any = None) -> Path:
    """The same model as a folder on disk, <folder>/model, for `mlflow models serve`; its path."""
    from importlib.metadata import version

    import pandas as pd

    with _without_notes():
        from mlflow import pyfunc
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, DataType, Schema

    weights = folder / "weights.safetensors"
    weights.write_bytes(portable.pack(record))
    code = folder / CODE.name  # a copy: MLflow writes the path it came from into the model
    code.write_bytes(CODE.read_bytes())
    signature = ModelSignature(
        Schema([ColSpec(DataType.string, "context")]),
        Schema([ColSpec(DataType.double, symbol) for symbol in record.symbols]),
    )
    example = pd.DataFrame({"context": ["", *_beginnings(record)]})
    with _without_notes():
        pyfunc.save_model(
            path=folder / NAME,
            python_model=str(code),
            artifacts={"weights": str(weights)},
            signature=signature,
            input_example=example,
            # torch's local part (+cpu) is no package index's
            pip_requirements=[f"{name}=={version(name).partition('+')[0]}" for name in PACKAGES],
            mlflow_model=described,
        )
    return folder / NAME


@contextlib.contextmanager
def _without_notes() -> Iterator[None]:
    """Keep MLflow's remarks, and warnings about MLflow's own code, out of the terminal."""
    logger = logging.getLogger("mlflow.pyfunc")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def _beginnings(record: RunRecord) -> list[str]:
    """Two contexts of the vocabulary, a short one and a full one."""
    letter = record.symbols[1]
    return [letter, letter * record.config.data.block_size]


def _standing(client: Any, run: Any, checksum: str) -> str | None:
    """The run's model of these very weights, if it was written whole."""
    outputs = run.outputs.model_outputs if run.outputs else []
    for output in outputs:
        model = client.get_logged_model(output.model_id)
        if model.tags.get(DIGEST) == checksum and str(model.status) == "READY":
            model_id: str = output.model_id
            return model_id
    return None
