"""What one machine needs to serve the app; never deployed."""
