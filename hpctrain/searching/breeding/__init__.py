"""How candidates are made: sampling, genetic operators, CMA-ES, swarms, surrogates, mixes."""
