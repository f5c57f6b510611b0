"""Tasks that can be trained: what one has to offer, and one that needs no download."""
