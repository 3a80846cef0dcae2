"""One Vault lock monitor: who blocks whom, why, since when, and how to end it safely."""
