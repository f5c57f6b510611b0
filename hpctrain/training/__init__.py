"""Low-communication training: outer rules, fragments, messages, the algorithm. Pure, numpy only."""
