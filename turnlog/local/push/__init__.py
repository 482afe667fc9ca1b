"""Rooms over Socket.IO and WebSocket, as the local host serves them."""
