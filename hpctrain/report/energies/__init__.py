"""`hpctrain energy report`: what runs used, where it went, and what it cost."""
