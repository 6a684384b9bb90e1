"""What every answer and every request of the admin port shares: parameters, pages, cursors, times,
errors.
"""
