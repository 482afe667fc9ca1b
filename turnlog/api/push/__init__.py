"""Push to rooms: what a client asks for to connect, and the admission to a room that all protocols share."""
