"""Why a host does not start; each text says in one line what is wrong and what to do.

HostError
├── RefusedError       the app, a file or a setting cannot be used
├── AddressError       an address cannot be listened on
├── LockedError        another host uses the same data
└── ModelServerError   the scripted model server did not start
"""


class HostError(Exception):
    """The host cannot start."""


class RefusedError(HostError):
    """The app cannot be served here or on Azure, or a file or a setting is wrong."""


class AddressError(HostError):
    """An address cannot be listened on."""


class LockedError(HostError):
    """Another host holds the data directory."""


class ModelServerError(HostError):
    """The scripted model server ended before it listened."""
