"""The only door to the matching library: graph records in, models and match evidence out."""
