"""Records as the first version wrote them: four files in a folder of the run's own."""

from harness.records.durable import digest, seal
from harness.records.record import curves_parquet, weights_bytes
from harness.records.saved import config_yaml


def write_old(root, record, dropped=()):
    """Write a record as the first version did; returns its folder."""
    home = root / "records" / record.run_id
    home.mkdir(parents=True)
    files = {
        "curves.parquet": curves_parquet(record.series),
        "weights.safetensors": weights_bytes(record.weights),
    }
    sums = {name: {"sha256": digest(b), "bytes": len(b)} for name, b in files.items()}
    head = {"format": 1, "files": sums, "dropped": list(dropped), "record": record.to_plain()}
    files |= {"record.json": seal(head)}
    files |= {"config.yaml": config_yaml(record.config, record.provenance).encode()}
    for name, content in files.items():
        if name not in dropped:
            (home / name).write_bytes(content)
    return home
