"""A database that several servers have copies of, all of which may be written: replicas of one shard."""
