"""The shapes of the API: one file per resource, with what comes in and what goes out."""
