"""The service over HTTP. A package, so that its services end with it and do not go on beside other tests."""
