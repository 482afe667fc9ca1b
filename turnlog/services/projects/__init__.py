"""Projects: their documents, sessions, patches of the VibeCoder, and rooms."""
