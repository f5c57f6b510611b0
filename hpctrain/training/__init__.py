"""Low-communication training: outer rules, fragments, messages and the algorithm. Pure, numpy only."""
