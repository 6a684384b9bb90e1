"""Commands that write what was recorded into a file, or read it from one: export, save, replay,
mock.
"""
