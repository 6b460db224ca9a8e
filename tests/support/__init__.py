"""What several tests share: small models, hostile files, oracles, builds."""
