"""A Ray cluster of several node processes on this machine."""

from __future__ import annotations

import contextlib
import os

STORE = {"object_store_memory": 80 * 2**20, "include_dashboard": False}


@contextlib.contextmanager
def ray_cluster(nodes, cores):
    """A head without cores, and so many nodes of so many cores; gone at the end.

    Their processes have this one's environment. The driver's own raylet is the head's.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **STORE})
    try:
        cluster.nodes = [cluster.add_node(num_cpus=cores, **STORE) for _ in range(nodes)]
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()
