"""The errors that hpctrain raises on purpose: their text is meant for people, one line each."""


class HpctrainError(Exception):
    """Something the user can put right; the command line prints it without a traceback."""


class ConfigError(HpctrainError):
    """A setting that is not allowed. The text has one line for each thing that is wrong."""


class RunStoreError(HpctrainError):
    """A run directory that is missing, damaged, in use, or of another version."""


class LaunchError(HpctrainError):
    """Ranks that cannot be started, or that were started in a way that cannot work."""


class MeteringError(HpctrainError):
    """A profile, tariff or recording of energy that cannot be used."""
