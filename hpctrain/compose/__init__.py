"""Where the parts are put together: one module per way of using hpctrain."""
