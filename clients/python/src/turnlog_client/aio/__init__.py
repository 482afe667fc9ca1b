"""The async client: the same calls as the sync one, with `await` and `async for`."""
