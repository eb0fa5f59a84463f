"""From files on disk to a finished table: reading, splitting, training, reproducing."""
