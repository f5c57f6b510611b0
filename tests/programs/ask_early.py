"""Ask and tell; the first worker takes long for one candidate, and then ends the search."""

import sys
import time

import hpctrain as ht

search = ht.Search({"x": (-5.0, 5.0)}, stop=100_000, run_dir=sys.argv[1])
told = 0
while (candidate := search.ask()) is not None:
    time.sleep(2.0 if candidate.worker == 0 else 0.02)
    search.tell(candidate, candidate["x"] ** 2)
    told += 1
    if candidate.worker == 0:
        break
result = search.close()
print(f"{candidate.worker if candidate else 1} told {told}, then: {result.reason}", flush=True)
