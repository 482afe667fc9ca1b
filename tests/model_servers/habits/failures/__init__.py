"""How servers fail, and what they ask for."""
