"""A script that owns its loop: ask and tell, on every rank."""

import sys

import hpctrain as ht

space = {"x": (-5.0, 5.0), "y": (-5.0, 5.0)}
search = ht.Search(space, stop=120, run_dir=sys.argv[1], seed=1, propagator="genetic")
while (candidate := search.ask()) is not None:
    if candidate.number == 5:
        search.fail(candidate, "no luck")
    else:
        search.tell(candidate, candidate["x"] ** 2 + candidate["y"] ** 2)
result = search.close()
print(f"found {result.best.number} {result.evaluations} {result.failed}", flush=True)
