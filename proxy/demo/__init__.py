"""The demo behind `sidelog demo`: an upstream with everything worth recording, sample traffic, and
sidelog between.
"""
