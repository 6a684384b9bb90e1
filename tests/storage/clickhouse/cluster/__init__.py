"""Replicas of one shard."""
