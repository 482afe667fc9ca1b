"""The agents one can talk to and the tools they may call, as declarations."""
