"""A quality classifier: trained with fastText from good and bad text, its file folded into one compiled table."""
