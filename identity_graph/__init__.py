"""Identity Graph: a self-hosted customer identity service."""
