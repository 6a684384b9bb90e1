"""The record store: stored record, storage contract, backends, batch writer."""
