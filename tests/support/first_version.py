"""The ledger and the MLflow store that the first version left behind, unpacked for a test.

first_version.tar.gz was made by version 0.1.0, whose numerics are 1, in /tmp/first-version:

    harness sweep loss=cross_entropy,nll,mse seed=0,1 SMALL
    harness sweep data=moons loss=squared_error,binary_cross_entropy optim.lr=.1,1e8 \
        data.words=300 train.steps=40 model.hidden=[8] engine.workers=1
    harness train init.weight_scale=3 SMALL
    SMALL: data.fraction=.05 train.steps=40 model.hidden=[8] model.n_embd=4 engine.workers=1
"""

import sqlite3
import tarfile
from pathlib import Path

ARCHIVE = Path(__file__).with_name("first_version.tar.gz")
LOSSES, MOONS, SINGLE = "05079b3ede6765b7", "82f24e87f117d1cf", "17458282c6db6198"
ADDRESSES = (
    ("experiments", "artifact_location"), ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
)  # fmt: skip


def unpack(folder):
    """Unpack ./runs, ./mlflow.db and ./mlartifacts there; artifacts are where the store says."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    with sqlite3.connect(Path(folder) / "mlflow.db") as store:
        for table, column in ADDRESSES:
            store.execute(
                f"update {table} set {column} = replace({column}, '/tmp/first-version', ?)",
                (str(folder),),
            )
    store.close()
    return Path(folder)
