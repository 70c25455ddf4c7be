"""Blocks over a cluster: what is missing is computed, and kept as it comes in."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.cluster import open_cluster
from pipeline.engine import simulate_block, warm_kernels
from pipeline.errors import RunError
from pipeline.ledger import Ledger, count_paths

Progress = Callable[[int, int], None]
"""Called with paths done and paths in all, whenever that changes."""


def simulate_missing(ledger: Ledger, document: str, cluster: str, progress: Progress | None = None) -> int:
    """Compute the blocks that a ledger lacks, on a cluster; returns how many there were.

    `document` is the resolved plan as JSON text. A worker that dies is replaced by the cluster, and its
    blocks go to others. When this call is interrupted, what came in by then is kept.
    """
    missing = ledger.missing()
    total = count_paths(ledger.blocks)
    done = total - count_paths(missing)
    slabs = total // count_paths(block for block in ledger.blocks if block.slab == 0)
    if progress is not None:
        progress(done // slabs, total // slabs)
    if not missing:
        return 0
    numerics = warm_kernels()  # compiled here once, so that workers only load
    with open_cluster(cluster) as client:
        from distributed import as_completed

        if cluster != "threads":
            found = client.run(warm_kernels, on_error="return")
            for worker, numerics_there in found.items():
                if numerics_there != numerics:
                    raise RunError(
                        f"worker {worker} of {cluster} does not have this machine's code, {numerics}, but "
                        f"{numerics_there}. Install the same version of seawall there."
                    )
        (plan,) = client.scatter([document], broadcast=True, hash=False)
        futures = {
            client.submit(simulate_block, plan, block, key=f"{ledger.run_id}-{block.key}", pure=False): block
            for block in missing
        }
        try:
            for future in as_completed(list(futures), loop=client.loop):
                block = futures.pop(future)
                if future.status != "finished":
                    raise RunError(f"block {block.key} failed on {cluster}: {future.exception()!r}")
                ledger.record(block, future.result())
                future.release()
                done += block.paths
                if progress is not None:
                    progress(done // slabs, total // slabs)
        finally:
            client.cancel(list(futures))
    return len(missing)
