"""Random streams: every generator of a run is seeded from (run seed, worker, purpose)."""

from __future__ import annotations

from hashlib import blake2b


def stream(run_seed: int, worker: int, purpose: str) -> int:
    """A 63-bit seed that depends on all three arguments and on nothing else.

    Streams of different workers or purposes are independent for all practical ends, and a stream
    does not change when workers are added. It fits `torch.Generator.manual_seed` and
    `numpy.random.default_rng`.
    """
    digest = blake2b(f"{run_seed}/{worker}/{purpose}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
