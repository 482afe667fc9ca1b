"""What is sent to a model's server: the body of a request, in the form of either API."""
