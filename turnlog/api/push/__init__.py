"""What all protocols share that push rooms to clients: the admission to a room."""
