"""The machine around a run: who launched it, how to launch it, whether it is healthy."""
