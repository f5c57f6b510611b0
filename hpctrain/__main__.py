"""`python -m hpctrain` is `hpctrain`."""

from hpctrain.cli import main

main()
