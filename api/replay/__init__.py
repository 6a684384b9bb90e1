"""Send again what was recorded, and judge the answer: by its status, its shape, or all of it."""
