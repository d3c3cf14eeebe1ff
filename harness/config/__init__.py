"""Settings: fields that check themselves, the configuration of a run, and the ids that name it."""
