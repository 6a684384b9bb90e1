"""Commands that write recorded exchanges to a file or read them from one: export, save, replay,
mock.
"""
