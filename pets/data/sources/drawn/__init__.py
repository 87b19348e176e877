"""The embedded demo set and its painters."""
