"""Send recorded requests again, and judge the response by status, by shape, or completely."""
