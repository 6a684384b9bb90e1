"""What a released sidelog leaves behind, kept as small files in `tests/fixtures/layouts/VERSION`,
and made anew from the running program by `make layouts` until that version is released.
"""
