"""The session log on real storage, one package per kind, bound by one contract suite (tests/contract)."""
