"""What one machine needs beside the app; never deployed."""
